import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { UIMessage, UIMessageChunk } from 'ai';

/** A run of the scripted gateway. `chunks[i]` has sequence `i`. */
export interface Run {
  id: string;
  chatId: string;
  messageId: string;
  userMessageId: string;
  chunks: UIMessageChunk[];
  state: 'open' | 'stopping' | 'ended';
  requestId: string;
  outcome?: string;
}

type Fault = (response: ServerResponse, request: IncomingMessage) => boolean;

/**
 * A gateway in memory with enough of the real one's HTTP interface to break it at will. Tests
 * decide what runs write, which requests fail and where responses break.
 */
export class ScriptedGateway {
  readonly requests: { method: string; url: string; body: Record<string, unknown> }[] = [];
  readonly runs = new Map<string, Run>();
  readonly messages = new Map<string, UIMessage[]>();
  /** Tried in order for each request. A fault that returns true has answered, and is removed. */
  readonly faults: Fault[] = [];
  /** The number of events after which to break each stream, while there are entries. */
  readonly cuts: number[] = [];
  /** A send waits for it before it is accepted. */
  beforeSend: Promise<void> = Promise.resolve();
  /** A stop waits for it. */
  beforeStop: Promise<void> = Promise.resolve();
  /** Whether feeds are answered; otherwise they are cut. */
  isFollowed = true;
  /** Whether feeds are silent, until `speak`. */
  isMute = false;
  api = '';
  open = 0;
  private readonly prevented = new Set<unknown>();
  private readonly log = new Map<string, { position: string; event: string; data: string }[]>();
  private readonly waiting = new Set<() => void>();
  private readonly streams = new Set<ServerResponse>();
  private readonly server = createServer((request, response) => void this.serve(request, response));
  private offset = 0;
  private epoch = 1;

  async listen(): Promise<this> {
    await new Promise<void>(done => this.server.listen(0, '127.0.0.1', done));
    this.api = `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/api/chat`;
    return this;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise(done => this.server.close(done));
  }

  /** Write chunks to the open run of a chat. */
  write(chatId: string, ...chunks: UIMessageChunk[]): void {
    const run = this.active(chatId);
    if (run === undefined) throw new Error('nothing runs');
    this.record(chatId, 'chunks', { runId: run.id, first: run.chunks.length, chunks });
    run.chunks.push(...chunks);
    if (chunks.some(chunk => chunk.type === 'finish')) this.finish(run, 'finished');
    this.wake();
  }

  /** Write a whole answer of some words, and end the run. */
  answer(chatId: string, words: string[]): void {
    this.say(chatId, words);
    this.write(chatId, { type: 'text-end', id: 't' }, { type: 'finish' });
  }

  /** Write the beginning of an answer, and leave the run open. */
  say(chatId: string, words: string[]): void {
    const run = this.active(chatId);
    if (run?.chunks.length === 0) {
      this.write(chatId, { type: 'start', messageId: run.messageId }, { type: 'text-start', id: 't' });
    }
    for (const delta of words) this.write(chatId, { type: 'text-delta', id: 't', delta });
  }

  active(chatId: string): Run | undefined {
    return [...this.runs.values()].find(run => run.chatId === chatId && run.state !== 'ended');
  }

  /** Break all responses that are open. */
  cut(): void {
    for (const stream of this.streams) stream.destroy();
  }

  /** End all open feeds, as when their token has expired. */
  expire(): void {
    for (const stream of this.streams) {
      stream.end('event: closed\ndata: {"code":"token_expired"}\n\n');
    }
  }

  /** Refuse the next request. */
  refuse(status: number, code: string, details: Record<string, unknown> = {}): void {
    this.faults.push(response => (failure(response, status, code, details), true));
  }

  /** Leave the next request without an answer. */
  ignore(): void {
    this.faults.push(response => Boolean(response.once('close', () => {})));
  }

  posts(): Record<string, unknown>[] {
    return this.requests.filter(r => r.method === 'POST' && r.url.endsWith('/chat')).map(r => r.body);
  }

  stops(): Record<string, unknown>[] {
    return this.requests.filter(r => r.url.includes('/stop')).map(r => r.body);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://gateway');
    let text = '';
    for await (const piece of request) text += piece;
    const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
    this.requests.push({ method: request.method ?? '', url: request.url ?? '', body });
    for (const [index, fault] of this.faults.entries()) {
      if (fault(response, request)) {
        this.faults.splice(index, 1);
        return;
      }
    }
    const [, , , chat = '', action = ''] = url.pathname.split('/');
    const chatId = decodeURIComponent(chat);
    if (url.searchParams.has('follow')) {
      if (!this.isFollowed) response.destroy();
      else if (url.searchParams.has('without')) response.writeHead(404).end('<html>');
      else return this.feed(url, response);
      return;
    }
    if (request.method === 'POST' && chat === '') return this.send(body, response);
    if (action === 'stream') return this.resume(chatId, url, response);
    if (request.method === 'DELETE') return this.remove(chatId, url.pathname.split('/')[5], response);
    if (action === 'stop') return this.stop(chatId, body, response);
    return json(response, 200, this.snapshot(chatId));
  }

  private async send(body: Record<string, unknown>, response: ServerResponse): Promise<void> {
    const { id, message, requestId, messageId } = body as {
      id: string;
      message: UIMessage;
      requestId: string;
      messageId?: string;
    };
    await this.beforeSend;
    const known = [...this.runs.values()].find(run => run.requestId === requestId);
    if (known !== undefined) return this.stream(known, 0, response);
    const active = this.active(id);
    if (active !== undefined) {
      return failure(response, 409, 'run_active', { runId: active.id, temporary: true });
    }
    const stored = this.messages.get(id) ?? [];
    const user = message.role === 'user' ? message : stored.findLast(({ role }) => role === 'user');
    const run = this.accept(id, user as UIMessage, messageId, requestId);
    if (this.prevented.delete(requestId)) {
      // A pause between the two records, as on a network.
      await new Promise(resolve => setTimeout(resolve, 20));
      await this.end(run);
    }
    await this.stream(run, 0, response);
  }

  /** Accept a message, and open its run. */
  accept(id: string, user: UIMessage, messageId?: string, requestId = ''): Run {
    const stored = this.messages.get(id) ?? [];
    const at = stored.findIndex(message => message.id === (messageId ?? user.id));
    const before = at < 0 ? stored : stored.slice(0, at);
    this.messages.set(id, [...before, user]);
    const number = this.runs.size + 1;
    const run: Run = {
      id: `run_${number}`,
      chatId: id,
      messageId: `msg_${number}`,
      userMessageId: user.id,
      chunks: [],
      state: 'open',
      requestId,
    };
    this.record(id, 'message', { message: user, parentId: before.at(-1)?.id ?? null });
    this.runs.set(run.id, run);
    this.recordRun(run);
    return run;
  }

  private async resume(chatId: string, url: URL, response: ServerResponse): Promise<void> {
    const after = url.searchParams.get('after');
    const runId = url.searchParams.get('runId');
    const run = runId === null ? this.active(chatId) : this.runs.get(runId);
    if (run === undefined || (after === null && run.state === 'ended')) {
      response.writeHead(204).end();
      return;
    }
    if (after !== null) return this.stream(run, Number(after) + 1, response);
    return this.stream(run, run.chunks.length, response, aggregate(run.chunks));
  }

  private async stop(
    chatId: string,
    body: Record<string, unknown>,
    response: ServerResponse,
  ): Promise<void> {
    const run = this.active(chatId);
    const isMeant =
      body.runId === undefined
        ? body.messageId === undefined || body.messageId === run?.userMessageId
        : body.runId === run?.id;
    if (run === undefined || !isMeant) {
      if (body.runId === undefined) this.prevented.add(body.requestId);
      return json(response, 200, { stopped: [] });
    }
    await this.end(run);
    return json(response, 200, { stopped: [run.id] });
  }

  /** Delete a message, or all: followers begin again from a snapshot. */
  private remove(chatId: string, messageId: string | undefined, response: ServerResponse): void {
    const stored = this.messages.get(chatId) ?? [];
    this.messages.set(
      chatId,
      stored.filter(({ id }) => messageId !== undefined && id !== messageId),
    );
    const { epoch } = this;
    const snapshot = this.snapshot(chatId);
    this.record(chatId, 'snapshot', { ...snapshot, epoch: `e${epoch}`, offset: `${this.offset + 1}-0` });
    response.writeHead(204).end();
  }

  private async end(run: Run): Promise<void> {
    run.state = 'stopping';
    this.recordRun(run);
    await this.beforeStop;
    const said = run.chunks.some(chunk => chunk.type === 'text-start');
    const last: UIMessageChunk[] = [{ type: 'abort' }, { type: 'finish' }];
    if (said) last.unshift({ type: 'text-end', id: 't' });
    this.record(run.chatId, 'chunks', { runId: run.id, first: run.chunks.length, chunks: last });
    run.chunks.push(...last);
    this.finish(run, 'stopped');
    this.wake();
  }

  private finish(run: Run, outcome: string): void {
    run.state = 'ended';
    run.outcome = outcome;
    const text = run.chunks.map(c => (c.type === 'text-delta' ? c.delta : '')).join('');
    if (text !== '') {
      const message: UIMessage = {
        id: run.messageId,
        role: 'assistant',
        parts: [{ type: 'text', text, state: 'done' }],
      };
      this.messages.set(run.chatId, [...(this.messages.get(run.chatId) ?? []), message]);
      this.record(run.chatId, 'message', { message, parentId: run.userMessageId, runId: run.id });
    }
    this.recordRun(run);
  }

  private async stream(
    run: Run,
    from: number,
    response: ServerResponse,
    aggregated: UIMessageChunk[] = [],
  ): Promise<void> {
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'x-vercel-ai-ui-message-stream': 'v1',
      'x-midstream-run-id': run.id,
    });
    response.write(':\n\n');
    let left = this.cuts.shift() ?? Number.POSITIVE_INFINITY;
    const put = (text: string) => {
      if (left-- > 0) response.write(text);
      // Not at once: the events before it must arrive.
      else if (left === -1) setImmediate(() => response.destroy());
    };
    for (const [index, chunk] of aggregated.entries()) {
      const id = index === aggregated.length - 1 ? `id: ${from - 1}\n` : '';
      put(`${id}data: ${JSON.stringify(chunk)}\n\n`);
    }
    await this.pump(response, () => {
      while (from < run.chunks.length) {
        put(`id: ${from}\ndata: ${JSON.stringify(run.chunks[from++])}\n\n`);
      }
      return run.state === 'ended';
    });
    if (left >= 0) response.end('data: [DONE]\n\n');
  }

  private async feed(url: URL, response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(':\n\n');
    const cursors = new Map<string, number>();
    for (const value of url.searchParams.getAll('follow')) {
      const at = value.lastIndexOf('@');
      const chatId = value.slice(0, at);
      const log = this.log.get(chatId) ?? [];
      const index = log.findIndex(entry => entry.position === value.slice(at + 1));
      cursors.set(chatId, index >= 0 ? index + 1 : log.length);
      if (index < 0) {
        const snapshot = this.snapshot(chatId);
        const position = log.at(-1)?.position ?? '';
        response.write(`event: snapshot\nid: ${chatId}@${position}\ndata: ${JSON.stringify(snapshot)}\n\n`);
      }
    }
    await this.pump(response, () => {
      for (const [chatId, from] of this.isMute ? [] : cursors) {
        const log = this.log.get(chatId) ?? [];
        for (const { position, event, data } of log.slice(from)) {
          response.write(`event: ${event}\nid: ${chatId}@${position}\ndata: ${data}\n\n`);
        }
        cursors.set(chatId, log.length);
      }
      return false;
    });
  }

  private async pump(response: ServerResponse, step: () => boolean): Promise<void> {
    this.open += 1;
    this.streams.add(response);
    const gone = new Promise<void>(done => response.once('close', done));
    let left = false;
    void gone.then(() => (left = true));
    while (!left && !response.writableEnded && !step()) {
      let wake = () => {};
      const woken = new Promise<void>(done => this.waiting.add((wake = done)));
      await Promise.race([woken, gone]);
      this.waiting.delete(wake);
    }
    this.open -= 1;
    this.streams.delete(response);
  }

  private snapshot(chatId: string): object {
    const run = [...this.runs.values()].findLast(candidate => candidate.chatId === chatId);
    const [epoch = '', offset = ''] = (this.log.get(chatId)?.at(-1)?.position ?? ':').split(':');
    return {
      id: chatId,
      epoch,
      offset,
      messages: this.messages.get(chatId) ?? [],
      runs: run === undefined ? [] : [info(run)],
    };
  }

  private recordRun(run: Run): void {
    this.record(run.chatId, 'run', info(run));
  }

  /** Delete a session. Its followers get the snapshot of a session that does not exist. */
  erase(chatId: string): void {
    const data = JSON.stringify({ epoch: '', offset: '', messages: [], runs: [] });
    this.log.get(chatId)?.push({ position: '', event: 'snapshot', data });
    this.wake();
  }

  /** Lose all but the oldest messages of a chat, its run, and every position. */
  loseLog(chatId: string, kept: number): void {
    this.messages.set(chatId, (this.messages.get(chatId) ?? []).slice(0, kept));
    for (const run of this.runs.values()) if (run.chatId === chatId) this.runs.delete(run.id);
    this.epoch += 1;
    this.log.delete(chatId);
    this.record(chatId, 'presence', { here: [] });
  }

  /** Add a record to a chat's log. */
  record(chatId: string, event: string, data: object): void {
    const log = this.log.get(chatId) ?? [];
    log.push({ position: `e${this.epoch}:${++this.offset}-0`, event, data: JSON.stringify(data) });
    this.log.set(chatId, log);
    this.wake();
  }

  /** Let silent feeds send what they have held back. */
  speak(): void {
    this.isMute = false;
    this.wake();
  }

  private wake(): void {
    for (const wake of [...this.waiting]) wake();
  }
}

export function info({ id, state, messageId, userMessageId, outcome }: Run): object {
  return { id, state, messageId, userMessageId, trigger: 'submit-message', outcome };
}

/** Return the aggregated state after some chunks, as a late reader gets it. */
function aggregate(chunks: UIMessageChunk[]): UIMessageChunk[] {
  const text = chunks.map(c => (c.type === 'text-delta' ? c.delta : '')).join('');
  const head = chunks.filter(c => c.type === 'start' || c.type === 'text-start');
  return text === '' ? head : [...head, { type: 'text-delta', id: 't', delta: text }];
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

export function failure(
  response: ServerResponse,
  status: number,
  code: string,
  details: object = {},
): void {
  json(response, status, { error: { ...details, code, message: `unable to; ${code}` } });
}
