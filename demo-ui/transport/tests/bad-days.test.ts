import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { CHATS, textOf, until, untilIdle } from './support/chats.js';
import { failure, ScriptedGateway } from './support/scripted-gateway.js';
import { type Tab, tabsOf, textsOf } from './support/tab.js';

/** Stands for the page: it gets the listeners of a window. */
const page = new EventTarget();
let gateway: ScriptedGateway;
beforeEach(async () => {
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  gateway = await new ScriptedGateway().listen();
});
afterEach(async () => {
  await gateway.close();
  vi.unstubAllGlobals();
});
const { tab } = tabsOf(() => gateway);
const texts = (of: Pick<Tab, 'chat'>) => textsOf(of).join();

/** Send, and let the gateway answer with some words. */
async function ask({ chat }: Pick<Tab, 'chat'>, text: string, words: string[]) {
  void chat.sendMessage({ text });
  await until(() => gateway.active(chat.id));
  gateway.answer(chat.id, words);
  await untilIdle(chat);
}

const REFUSALS: [status: number, code: string][] = [
  [400, 'invalid_request'],
  [401, 'unauthorized'],
  [403, 'forbidden'],
  [404, 'agent_not_found'],
  [409, 'conflict'],
  [413, 'too_large'],
  [500, 'internal_error'],
];

describe.each(CHATS)('a chat of %s', (_, Chat) => {
  it.each(REFUSALS.filter(([status]) => status !== 413))('is told of a send that is refused with %i, and goes on', async (status, code) => {
    const opened = await tab({ Chat });
    const { chat, session } = opened;
    await until(() => session.getState().loaded);
    gateway.refuse(status, code);
    await chat.sendMessage({ text: 'refused' });
    expect(chat.error).toMatchObject({ code, status, rejected: { role: 'user' } });
    expect([chat.status, texts(opened)]).toEqual(['error', 'refused']);
    void chat.regenerate();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts(opened) === 'refused,fine' && chat.status === 'ready');
    expect(gateway.runs.size).toBe(1);
  });

  it('keeps a message that is too large apart, so that the next one is not', async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().loaded);
    gateway.refuse(413, 'too_large');
    void opened.chat.sendMessage({ text: 'much too long' });
    await until(() => opened.session.getState().unsent.length);
    await until(() => opened.chat.status === 'ready' && texts(opened) === '');
    await ask(opened, 'small', ['fine']);
    expect(JSON.stringify(gateway.posts().at(-1))).not.toContain('much too long');
    expect(texts(opened)).toBe('small,fine');
    expect(opened.session.getState().unsent).toMatchObject([{ error: { code: 'too_large' } }]);
  });

  it('has the text of a response that was cut inside a character', async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().loaded);
    gateway.faults.push((response, { method }) => {
      if (method !== 'POST') return false;
      gateway.accept('c', { id: 'u', role: 'user', parts: [{ type: 'text', text: 'hello' }] });
      gateway.say('c', ['wörld ']);
      const chunks = gateway.active('c')?.chunks ?? [];
      const events = chunks.map((chunk, id) => `id: ${id}\ndata: ${JSON.stringify(chunk)}\n\n`);
      const bytes = Buffer.from(events.join(''));
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-midstream-run-id': 'run_1' });
      // Between the two bytes of the ö.
      response.write(bytes.subarray(0, bytes.indexOf('ö') + 1), () => response.destroy());
      return true;
    });
    void opened.chat.sendMessage({ id: 'u', role: 'user', parts: [{ type: 'text', text: 'hello' }] });
    await until(() => textOf(opened.chat.lastMessage) === 'wörld ');
    gateway.answer('c', ['→ ok']);
    await until(() => opened.chat.status === 'ready');
    expect(textOf(opened.chat.lastMessage)).toBe('wörld → ok');
    expect(opened.finishes).toHaveLength(1);
  });

  it('shows its own answer though its feed is away', async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().connection === 'live');
    gateway.isFollowed = false;
    gateway.cut();
    await until(() => opened.session.getState().connection === 'reconnecting');
    await ask(opened, 'hello', ['fine']);
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(texts(opened)).toBe('hello,fine');
    gateway.isFollowed = true;
    await until(() => opened.session.getState().connection === 'live');
    await until(() => opened.session.getState().run?.state === 'ended');
    expect(texts(opened)).toBe('hello,fine');
  });

  it('begins again with the snapshot when its position is not recovered', async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().loaded);
    await ask(opened, 'hello', ['fine']);
    gateway.loseLog('c', 1);
    gateway.cut();
    await until(() => texts(opened) === 'hello');
    expect(opened.session.getState()).toMatchObject({ connection: 'live', deleted: false });
    await ask(opened, 'again', ['there']);
    await until(() => texts(opened) === 'hello,again,there');
  });

  it('reloads the messages when its answer is not recovered', async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().connection === 'live');
    gateway.isFollowed = false;
    gateway.cut();
    await until(() => opened.session.getState().connection === 'reconnecting');
    void opened.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => textOf(opened.chat.lastMessage) === 'half ');
    gateway.faults.push((response, { url }) => {
      if (url?.includes('/stream') !== true) return false;
      failure(response, 410, 'not_recovered');
      return true;
    });
    gateway.cut();
    await until(() => opened.chat.status === 'error');
    expect(opened.chat.error).toMatchObject({ code: 'not_recovered' });
    gateway.answer('c', ['done']);
    gateway.isFollowed = true;
    await until(() => texts(opened) === 'hello,half done' && opened.chat.status === 'ready');
  });
});

describe('a feed', () => {
  it.each(REFUSALS)('that is refused with %i says so, and is asked for again', async (status, code) => {
    gateway.refuse(status, code);
    const { session, chat } = await tab();
    await until(() => session.getState().error);
    expect(session.getState()).toMatchObject({ connection: 'reconnecting', error: { code } });
    void chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    wake();
    await until(() => session.getState().connection === 'live');
    expect(session.getState().error).toBeUndefined();
  });

  it('whose token has ended goes on with a new one, and nothing is missed', async () => {
    let token = 0;
    const followed: (string | null)[] = [];
    const fetch: typeof globalThis.fetch = (input, init) => {
      if (`${input}`.includes('follow=')) followed.push(new Headers(init?.headers).get('authorization'));
      return globalThis.fetch(input, init);
    };
    const opened = await tab({ fetch, headers: () => ({ authorization: `Bearer ${++token}` }) });
    await ask(opened, 'before', ['fine']);
    const connections = new Set<string>();
    opened.session.subscribe(() => connections.add(opened.session.getState().connection));
    gateway.expire();
    gateway.accept('c', { id: 'u-2', role: 'user', parts: [{ type: 'text', text: 'meanwhile' }] });
    gateway.answer('c', ['also', ' fine']);
    await until(() => texts(opened) === 'before,fine,meanwhile,also fine');
    expect(followed).toHaveLength(2);
    expect(new Set(followed).size).toBe(2);
    expect(connections).toEqual(new Set(['live']));
  });

  it('is there as soon as the gateway is, which was away when the page loaded', async () => {
    gateway.isFollowed = false;
    const opened = await tab();
    await ask(await tab({ api: `${gateway.api}?other` }), 'before', ['fine']);
    expect(opened.session.getState()).toMatchObject({ connection: 'reconnecting', loaded: false });
    gateway.isFollowed = true;
    await until(() => texts(opened) === 'before,fine');
    expect(opened.session.getState()).toMatchObject({ connection: 'live', loaded: true });
  });

  it('of a tab that joins late gets over a snapshot that was refused', async () => {
    await ask(await tab(), 'before', ['fine']);
    gateway.faults.push((response, { url }) => {
      if (!/^\/api\/chat\/c($|\?)/.test(url ?? '')) return false;
      failure(response, 401, 'unauthorized');
      return true;
    });
    const late = await tab();
    await until(() => late.session.getState().error);
    expect(late.session.getState()).toMatchObject({ error: { code: 'unauthorized' } });
    wake();
    await until(() => texts(late) === 'before,fine');
    expect(late.session.getState().error).toBeUndefined();
    await ask(late, 'and', ['on']);
    expect(texts(late)).toBe('before,fine,and,on');
  });

  it('of a newer gateway has events, fields and states that are passed over', async () => {
    const opened = await tab();
    await until(() => opened.session.getState().loaded);
    gateway.record('c', 'weather', { wind: 7 });
    void opened.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    const [run] = gateway.runs.values();
    gateway.record('c', 'run', { ...run, chunks: undefined, colour: 'blue', outcome: 'blessed' });
    gateway.answer('c', ['fine']);
    await until(() => texts(opened) === 'hello,fine' && opened.chat.status === 'ready');
    expect(opened.chat.error).toBeUndefined();
  });

  it('that an older gateway does not have leaves a chat that works', async () => {
    const opened = await tab({ api: `${gateway.api}?without=feed` });
    await until(() => opened.session.getState().error);
    await ask(opened, 'hello', ['fine']);
    expect(texts(opened)).toBe('hello,fine');
    expect(opened.session.getState()).toMatchObject({ error: { code: 'bad_response' } });
  });
});

/** Dispatch the event `online`, which Node lacks. */
function wake(): void {
  page.dispatchEvent(new Event('online'));
}

it('is usable, in each version, behind a proxy that keeps each response until it ends', async () => {
  const buffering: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    const { status, headers } = response;
    return new Response(status === 204 ? null : await response.arrayBuffer(), { status, headers });
  };
  const behind: Tab[] = [];
  for (const [id, Chat] of CHATS) {
    await ask(await tab({ id }), 'before', ['fine']);
    // Another gateway's address, so that its feed is not shared with another tab.
    behind.push(await tab({ id, Chat, fetch: buffering, api: `${gateway.api}?${new URLSearchParams({ id })}` }));
  }
  // All at once: each takes seconds to notice that its feed is silent.
  await Promise.all(
    behind.map(async opened => {
      const { chat, session } = opened;
      await until(() => texts(opened) === 'before,fine');
      expect(session.getState()).toMatchObject({ loaded: true, connection: 'reconnecting' });
      await ask(opened, 'hello', ['slow ', 'but whole']);
      expect(texts(opened)).toBe('before,fine,hello,slow but whole');
      expect(chat.status).toBe('ready');
      void chat.sendMessage({ text: 'stop me' });
      await until(() => gateway.active(chat.id));
      await chat.stop();
      await until(() => gateway.active(chat.id) === undefined);
      expect(session.getState().error).toBeUndefined();
    }),
  );
});
