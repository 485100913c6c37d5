// Serves a module's POST, as a framework serves a route: /api/chat on 127.0.0.1.
//
//   node serve_route.mjs PORT MODULE

import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [port, file] = process.argv.slice(2);
const { POST } = await import(pathToFileURL(resolve(file)));

createServer(async (incoming, outgoing) => {
  const leaving = new AbortController();
  const request = new Request(new URL(incoming.url, 'http://127.0.0.1'), {
    method: incoming.method,
    headers: incoming.headers,
    body: Readable.toWeb(incoming),
    duplex: 'half',
    signal: leaving.signal,
  });
  // Names the request, so that it lives as long: Node follows a signal for a Request that nobody
  // holds no further, though its own signal is in use.
  outgoing.on('close', () => leaving.abort(`${request.method} was left`));
  const { status, headers, body } = await POST(request);
  outgoing.writeHead(status, Object.fromEntries(headers));
  Readable.fromWeb(body).on('error', () => outgoing.destroy()).pipe(outgoing);
}).listen(Number(port), '127.0.0.1');
