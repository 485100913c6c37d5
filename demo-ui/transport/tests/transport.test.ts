import type { UIMessage } from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { MidstreamError } from '../src/errors.js';
import { MidstreamChatTransport } from '../src/transport.js';
import { CHATS, textOf, until, untilIdle } from './support/chats.js';
import { failure, ScriptedGateway } from './support/scripted-gateway.js';

const WORDS = Array.from({ length: 60 }, (_, index) => `w${index} `);

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());

describe.each(CHATS)('a chat of %s', (_, Chat) => {
  function open(init: { messages?: UIMessage[]; resend?: () => boolean } = {}) {
    const finishes: { isAbort: boolean; isDisconnect: boolean; isError: boolean }[] = [];
    const transport = new MidstreamChatTransport({ api: gateway.api });
    const chat = new Chat({
      id: 'c',
      transport,
      messages: init.messages,
      sendAutomaticallyWhen: init.resend,
      onFinish: ({ isAbort, isDisconnect, isError }) => {
        finishes.push({ isAbort, isDisconnect, isError });
      },
    });
    return { chat, transport, finishes };
  }

  it('gets each chunk once, through ten cuts', async () => {
    gateway.cuts.push(0, 1, 3, 9, 1, 0, 0, 7, 2, 5);
    const { chat, finishes } = open();
    const sent = chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.answer('c', WORDS);
    await sent;
    expect(textOf(chat.lastMessage)).toBe(WORDS.join(''));
    expect(chat.status).toBe('ready');
    expect(finishes).toEqual([{ isAbort: false, isDisconnect: false, isError: false }]);
    expect(gateway.runs.size).toBe(1);
    expect(gateway.cuts).toEqual([]);
  });

  it('repeats a send that got no answer, and starts one run', async () => {
    gateway.faults.push(
      response => Boolean(response.destroy()),
      response => (failure(response, 503, 'draining', { temporary: true }), true),
      response => (response.writeHead(502).end('<html>'), true),
    );
    const { chat } = open();
    const sent = chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await sent;
    expect(textOf(chat.lastMessage)).toBe('fine');
    expect(new Set(gateway.posts().map(body => body.requestId)).size).toBe(1);
    expect(gateway.posts()).toHaveLength(4);
  });

  it('resumes a run under way with the whole message', async () => {
    const first = open();
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    gateway.cuts.push(1, 2);
    const { chat } = open({ messages: gateway.messages.get('c') ?? [] });
    const resumed = chat.resumeStream();
    await until(() => textOf(chat.lastMessage) === 'half ');
    gateway.answer('c', ['done']);
    await resumed;
    expect(textOf(chat.lastMessage)).toBe('half done');
    expect(chat.messages).toHaveLength(2);
  });

  it('resumes nothing when nothing runs', async () => {
    const { chat } = open();
    await chat.resumeStream();
    expect(chat.status).toBe('ready');
    expect(chat.messages).toEqual([]);
  });

  it('ends a run that was stopped elsewhere as a stop, and sends nothing by itself', async () => {
    const { chat, finishes } = open({ resend: () => true });
    const sent = chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half']);
    await fetch(`${gateway.api}/c/stop`, { method: 'POST' });
    await sent;
    expect(finishes).toEqual([{ isAbort: true, isDisconnect: false, isError: false }]);
    expect(chat.status).toBe('ready');
    expect(textOf(chat.lastMessage)).toBe('half');
    expect(chat.lastMessage?.parts.at(-1)).toMatchObject({ state: 'done' });
    expect(gateway.posts()).toHaveLength(1);
  });

  it('has the code of a refusal, and the message that was refused', async () => {
    gateway.refuse(409, 'run_active');
    const { chat } = open();
    await chat.sendMessage({ text: 'mine' });
    expect(chat.status).toBe('error');
    expect(chat.error).toBeInstanceOf(MidstreamError);
    expect(chat.error).toMatchObject({ code: 'run_active', status: 409, rejected: { role: 'user' } });
  });

  it('shows which limit is reached, and does not send again by itself', async () => {
    gateway.refuse(429, 'rate_limited', { limit: 'sends_per_minute', resetMs: 20_000, temporary: true });
    const { chat } = open();
    await chat.sendMessage({ text: 'mine' });
    expect(chat.status).toBe('error');
    expect(chat.error).toMatchObject({
      code: 'rate_limited',
      status: 429,
      temporary: true,
      details: { limit: 'sends_per_minute', resetMs: 20_000 },
    });
    expect(gateway.posts()).toHaveLength(1);
  });

  it('waits for a place to read from when a response is taken up again', async () => {
    const { chat } = open();
    void chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => textOf(chat.lastMessage) === 'half ');
    gateway.refuse(429, 'rate_limited', { limit: 'open_streams', resetMs: 1, temporary: true });
    const before = gateway.requests.length;
    gateway.cut();
    await until(() => gateway.requests.length > before + 1);
    gateway.answer('c', ['whole']);
    await until(() => chat.status === 'ready');
    expect(gateway.posts()).toHaveLength(1);
  });

  it('never sees a network failure as the AI SDK names them', async () => {
    const { chat, finishes } = open();
    void chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half']);
    await until(() => textOf(chat.lastMessage) === 'half');
    gateway.refuse(410, 'not_recovered');
    gateway.cut();
    await untilIdle(chat);
    expect(chat.error).toMatchObject({ code: 'not_recovered' });
    expect(finishes).toEqual([{ isAbort: false, isDisconnect: false, isError: true }]);
  });

  it.each(['text/html', ''])('refuses an answer of type "%s"', async type => {
    gateway.faults.push(response => (response.writeHead(200, { 'content-type': type }).end('x'), true));
    const { chat } = open();
    await chat.sendMessage({ text: 'hello' });
    expect(chat.error).toMatchObject({ code: 'bad_response' });
  });

  describe('stop', () => {
    it('ends the run after a send', async () => {
      const { chat } = open();
      const sent = chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      gateway.say('c', ['half']);
      await until(() => textOf(chat.lastMessage) === 'half');
      await chat.stop();
      await sent;
      await until(() => gateway.runs.get('run_1')?.state === 'ended');
      expect(gateway.stops()).toEqual([{ runId: 'run_1' }]);
      expect(chat.status).toBe('ready');
    });

    it('ends the run before the first token', async () => {
      const { chat } = open();
      void chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      await chat.stop();
      await until(() => gateway.runs.get('run_1')?.state === 'ended');
    });

    it('names the message when the run is not known yet', async () => {
      const held: (() => void)[] = [];
      gateway.faults.push(response => Boolean(held.push(() => response.destroy())));
      const { chat } = open();
      void chat.sendMessage({ text: 'hello' });
      await until(() => held.length);
      await chat.stop();
      await until(() => gateway.stops().length);
      const [{ requestId }] = gateway.posts() as [{ requestId: string }];
      expect(gateway.stops()).toEqual([{ messageId: chat.messages[0]?.id, requestId }]);
    });

    it('ends the run after a resume', async () => {
      void open().chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      const { chat } = open();
      const resumed = chat.resumeStream();
      gateway.say('c', ['half']);
      await until(() => textOf(chat.lastMessage) === 'half');
      await chat.stop();
      await resumed;
      await until(() => gateway.runs.get('run_1')?.state === 'ended');
      expect(chat.status).toBe('ready');
    });

    it('is not what a second resume does to the first', async () => {
      void open().chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      gateway.say('c', ['half ']);
      const { chat } = open();
      void chat.resumeStream();
      await until(() => textOf(chat.lastMessage) === 'half ');
      const second = chat.resumeStream();
      await until(() => gateway.requests.filter(r => r.url.includes('/stream')).length === 2);
      gateway.answer('c', ['done']);
      await second;
      expect(gateway.stops()).toEqual([]);
      expect(textOf(chat.lastMessage)).toBe('half done');
    });

    it('is not what an abort in a teardown window is', async () => {
      const { chat, transport } = open();
      void chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      const close = transport.openTeardown('c');
      await chat.stop();
      close();
      close();
      await new Promise(resolve => setTimeout(resolve, 20));
      expect(gateway.stops()).toEqual([]);
      expect(gateway.active('c')).toBeDefined();
    });

    it('called on the transport completes the parts first', async () => {
      const { chat, transport, finishes } = open();
      const sent = chat.sendMessage({ text: 'hello' });
      await until(() => gateway.active('c'));
      gateway.say('c', ['half']);
      await until(() => textOf(chat.lastMessage) === 'half');
      await transport.stop('c');
      await sent;
      expect(chat.lastMessage?.parts.at(-1)).toMatchObject({ text: 'half', state: 'done' });
      expect(finishes).toMatchObject([{ isAbort: true }]);
    });

    it('makes the next send wait', async () => {
      const { chat } = open();
      void chat.sendMessage({ text: 'one' });
      await until(() => gateway.active('c'));
      let stopped = () => {};
      gateway.beforeStop = new Promise(done => (stopped = done));
      await chat.stop();
      const second = chat.sendMessage({ text: 'two' });
      await until(() => gateway.stops().length);
      expect(gateway.posts()).toHaveLength(1);
      stopped();
      await until(() => gateway.posts().length === 2);
      gateway.answer('c', ['fine']);
      await second;
      expect(chat.error).toBeUndefined();
    });
  });
});
