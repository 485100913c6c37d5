import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Start `midstream serve` with simulated models; `PYTHON` names the interpreter. */
export async function serve(): Promise<{ port: number; close: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'midstream-'));
  const port = await freePort();
  const child = spawn(
    process.env.PYTHON ?? join(ROOT, '.venv/bin/python'),
    ['-m', 'gateway', 'serve', '--port', String(port), '--data-dir', folder],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => (output += piece.toString()));
  }
  const gone = new Promise<void>(done => child.once('exit', () => done()));
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    if (ready?.ok === true) break;
    if (tries > 300 || child.exitCode !== null) throw new Error(`no gateway:\n${output}`);
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  return {
    port,
    async close() {
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise(done => server.close(done));
  return port;
}

/** A TCP proxy whose connections can be cut; it counts them. */
export class Proxy {
  readonly sockets = new Set<Socket>();
  most = 0;
  /** The bytes of answer after which to cut each new connection, while there are entries. */
  readonly cuts: number[] = [];
  port = 0;
  private readonly server;

  constructor(target: number) {
    this.server = createServer(client => {
      const upstream = connect(target, '127.0.0.1');
      this.sockets.add(client);
      this.most = Math.max(this.most, this.sockets.size);
      let left = Number.POSITIVE_INFINITY;
      let drawn = false;
      const end = () => {
        client.destroy();
        upstream.destroy();
        this.sockets.delete(client);
      };
      upstream.on('data', (piece: Buffer) => {
        if (!drawn && piece.includes('text/event-stream')) {
          drawn = true;
          left = this.cuts.shift() ?? left;
        }
        client.write(piece.subarray(0, Math.max(0, left)), () => left <= 0 && end());
        left -= piece.length;
      });
      client.on('data', (piece: Buffer) => upstream.write(piece));
      for (const socket of [client, upstream]) {
        socket.on('error', end);
        socket.on('close', end);
      }
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>(done => this.server.listen(0, '127.0.0.1', done));
    this.port = (this.server.address() as { port: number }).port;
    return this;
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.cut();
    this.server.close();
  }
}
