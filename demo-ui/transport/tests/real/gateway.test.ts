import type { UIMessage } from 'ai';
import type { Chat as Chat7 } from 'react7';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { answerOf, CHATS, sixConnections, until, untilIdle, textOf } from '../support/chats.js';
import { openSession, openTab } from '../support/tab.js';
import { Proxy, serve } from './serve.js';

let gateway: Awaited<ReturnType<typeof serve>>;
let proxy: Proxy;
let id: string;
const leaving: (() => void)[] = [];

beforeAll(async () => {
  gateway = await serve();
});
afterAll(() => gateway.close());
beforeEach(async () => {
  proxy = await new Proxy(gateway.port).listen();
  id = `chat-${Math.random().toString(36).slice(2)}`;
});
afterEach(() => {
  for (const leave of leaving.splice(0)) leave();
  proxy.close();
});

const direct = () => `http://127.0.0.1:${gateway.port}/api/chat`;
const broken = () => `http://127.0.0.1:${proxy.port}/api/chat`;

interface Snapshot {
  messages: UIMessage[];
  runs: { state: string; outcome?: string }[];
}
const snapshot = async () => (await (await fetch(`${direct()}/${id}`)).json()) as Snapshot;

const saidIn = (messages: UIMessage[]) => textOf(messages.at(-1)).replaceAll('|', '');

async function ended(): Promise<Snapshot> {
  for (;;) {
    const seen = await snapshot();
    if (seen.runs[0]?.state === 'ended') return seen;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

async function open(Chat: (typeof CHATS)[number][1], api = direct(), messages: UIMessage[] = []) {
  const { MidstreamChatTransport } = await openTab();
  const finishes: boolean[] = [];
  const chat = new Chat({
    id,
    messages,
    transport: new MidstreamChatTransport({ api }),
    onFinish: ({ isAbort }) => void finishes.push(isAbort),
  });
  return { chat, finishes };
}

async function follow(api = direct(), Chat = CHATS[2]?.[1], init: object = {}) {
  const opened = await openSession({ api } as never, { id, Chat, ...init });
  leaving.push(opened.leave);
  await until(() => opened.session.getState().loaded);
  return opened;
}

describe.each(CHATS)('%s against a real gateway', (_, Chat) => {
  it('loses nothing through ten cuts, and finishes once', async () => {
    proxy.cuts.push(...Array.from({ length: 10 }, () => 300 + Math.floor(Math.random() * 2500)));
    const { chat, finishes } = await open(Chat, broken());
    await chat.sendMessage({ text: '[[tokens=400 rate=200 first=50ms]] go' });
    expect(proxy.cuts).toEqual([]);
    expect(chat.error).toBeUndefined();
    expect(finishes).toEqual([false]);
    const { messages } = await ended();
    expect(answerOf(chat)).toBe(saidIn(messages));
    expect(chat.messages).toHaveLength(2);
  });

  it('stops after a send', async () => {
    const { chat } = await open(Chat);
    void chat.sendMessage({ text: '[[tokens=20000 rate=50 first=0]] go' });
    await until(() => answerOf(chat).length > 20);
    await chat.stop();
    const { runs, messages } = await ended();
    expect(runs[0]).toMatchObject({ outcome: 'stopped' });
    expect(saidIn(messages)).toContain(answerOf(chat));
    expect(chat.status).toBe('ready');
  });

  it('stops after a resume', async () => {
    const first = await open(Chat);
    void first.chat.sendMessage({ text: '[[tokens=20000 rate=50 first=0]] go' });
    await until(() => answerOf(first.chat).length > 20);
    const { chat } = await open(Chat, direct(), (await snapshot()).messages);
    void chat.resumeStream();
    await until(() => answerOf(chat).length > 20);
    await chat.stop();
    expect((await ended()).runs[0]).toMatchObject({ outcome: 'stopped' });
    await untilIdle(first.chat);
    expect(first.finishes).toEqual([true]);
  });

  it('stops before the first token', async () => {
    const { chat } = await open(Chat);
    void chat.sendMessage({ text: '[[first=1h]] go' });
    await until(() => chat.status === 'submitted');
    await chat.stop();
    await new Promise(resolve => setTimeout(resolve, 100));
    const { chat: next } = await open(Chat);
    await next.sendMessage({ text: '[[tokens=5 rate=0 first=0]] again' });
    expect(next.error).toBeUndefined();
    expect(textOf(next.lastMessage)).not.toBe('');
  });
});

describe('two tabs against a real gateway', () => {
  it('show the same, while it streams and after, and are stopped by the one that watches', async () => {
    const [first, second] = [await follow(), await follow()];
    void first.chat.sendMessage({ text: '[[tokens=20000 rate=50 first=100ms]] go' });
    await until(() => answerOf(second.chat).length > 20);
    await until(() => first.chat.status === 'streaming' && second.chat.status === 'streaming');
    await second.chat.stop();
    const { messages, runs } = await ended();
    expect(runs[0]).toMatchObject({ outcome: 'stopped' });
    await until(() => first.chat.status === 'ready' && second.chat.status === 'ready');
    await until(() => second.session.getState().run?.state === 'ended');
    await until(() => answerOf(second.chat) === saidIn(messages));
    expect(answerOf(first.chat)).toBe(saidIn(messages));
    expect(second.session.getState().phase).toBe('idle');
  });

  it('show an edit, and that the session was deleted', async () => {
    const [first, second] = [await follow(), await follow()];
    await first.chat.sendMessage({ text: '[[tokens=5 rate=0 first=0]] one' });
    await until(() => second.chat.messages.length === 2 && second.chat.status === 'ready');
    const messageId = first.chat.messages[0]?.id;
    await first.chat.sendMessage({ text: '[[tokens=5 rate=0 first=0]] two', messageId });
    await until(() => textOf(second.chat.messages[0]).endsWith('two'));
    await until(() => second.chat.messages.length === 2 && second.chat.status === 'ready');
    await until(() => second.session.getState().here.length, 'presence');
    await fetch(`${direct()}/${id}`, { method: 'DELETE' });
    for (const { chat, session } of [first, second]) {
      await until(() => session.getState().deleted && chat.messages.length === 0);
    }
  });

  it('of two that send at once, one is told, and its message is sent later', async () => {
    const [first, second] = [await follow(), await follow()];
    const tabs = [first, second];
    for (const { chat } of tabs) {
      void chat.sendMessage({ text: '[[tokens=100 rate=100 first=50ms]] go' });
    }
    await until(() => tabs.some(({ session }) => session.getState().unsent.length));
    const { runs } = await ended();
    expect(runs).toHaveLength(1);
    await until(() => tabs.every(({ chat }) => chat.status === 'ready' && chat.messages.length === 2));
    const refused = tabs.find(({ session }) => session.getState().unsent.length);
    await refused?.session.resend();
    await until(() => tabs.every(({ chat }) => chat.status === 'ready' && chat.messages.length === 4));
    expect(first.chat.messages.map(textOf)).toEqual(second.chat.messages.map(textOf));
  });

  it('show one queue, and each may change it', async () => {
    const [first, second] = [await follow(), await follow()];
    const queues = () => [first, second].map(({ session }) => session.getState().queue);
    const shows = (...wanted: string[]) =>
      until(() => queues().every(({ entries }) => entries.map(({ message }) => textOf(message)).join() === wanted.join()));
    const idOf = (text: string) =>
      queues()[0]?.entries.find(({ message }) => textOf(message) === text)?.id ?? '';
    void first.chat.sendMessage({ text: '[[tokens=20000 rate=50 first=0]] go' });
    await until(() => answerOf(second.chat).length > 20);
    const [one, two] = queues();
    await one?.add({ text: 'a [[tokens=3]]' });
    await two?.add({ text: 'b [[tokens=3]]' });
    await one?.add({ text: 'c [[tokens=3]]' });
    await shows('a [[tokens=3]]', 'b [[tokens=3]]', 'c [[tokens=3]]');
    await two?.edit(idOf('a [[tokens=3]]'), { text: 'new [[tokens=3]]' });
    await shows('new [[tokens=3]]', 'b [[tokens=3]]', 'c [[tokens=3]]');
    await two?.move(idOf('c [[tokens=3]]'), idOf('b [[tokens=3]]'));
    await one?.remove(idOf('b [[tokens=3]]'));
    await shows('new [[tokens=3]]', 'c [[tokens=3]]');
    await second.session.stop();
    await until(() => queues().every(({ paused }) => paused === 'stopped'));
    // A tab that loads now shows the same.
    const third = await follow();
    expect(third.session.getState().queue.entries).toEqual(queues()[0]?.entries);
    await one?.resume();
    await shows();
    const asked = ({ chat }: typeof first) => chat.messages.filter(({ role }) => role === 'user').map(textOf);
    for (const tab of [first, second, third]) {
      await until(() => tab.chat.messages.length === 6 && tab.chat.status === 'ready');
      expect(asked(tab).slice(1)).toEqual(['new [[tokens=3]]', 'c [[tokens=3]]']);
    }
    await expect(two?.remove('gone')).rejects.toMatchObject({ code: 'message_not_found' });
  });

  it('lose nothing when one of them has the queue of ai 7, too', async () => {
    const [first, second] = [await follow(direct(), undefined, { experimental_queue: true }), await follow()];
    const { chat, session } = first;
    const kept = () => (chat as Chat7<UIMessage>).experimental_queuedMessages.map(textOf);
    const asked = () => chat.messages.filter(({ role }) => role === 'user').map(textOf);
    const [tab, here, more] = ['in the tab', 'here', 'more'].map(name => `${name} [[tokens=3]]`) as [string, string, string];
    const slow = 'go [[tokens=20000 rate=50 first=0]]';
    void chat.sendMessage({ text: slow });
    await until(() => answerOf(second.chat).length > 20);
    void chat.sendMessage({ text: tab });
    await session.getState().queue.add({ text: here });
    expect(kept()).toEqual([tab]);
    // A stop pauses both, and a resume is of the session's alone.
    await second.session.stop();
    await until(() => session.getState().queue.paused === 'stopped' && chat.status === 'ready');
    await session.getState().queue.resume();
    await until(() => asked().join() === [slow, here].join() && chat.messages.length === 4 && chat.status === 'ready');
    expect(kept()).toEqual([tab]);
    // The next send in that tab goes on with its own.
    await chat.sendMessage({ text: more });
    await until(() => asked().join() === [slow, here, tab, more].join() && chat.status === 'ready');
    expect(session.getState().unsent).toEqual([]);
  });

  it('show one version, and each may show another', async () => {
    const [first, second] = [await follow(), await follow()];
    const tabs = [first, second];
    const say = async (run: () => Promise<unknown>, ...texts: string[]) => {
      await run();
      await shows(tabs, ...texts);
    };
    const shows = (among: typeof tabs, ...texts: string[]) =>
      until(() =>
        among.every(
          ({ chat }) =>
            chat.status === 'ready' &&
            chat.messages.length === 2 * texts.length &&
            texts.every((text, at) => textOf(chat.messages[2 * at]) === text),
        ),
      );
    const versions = ({ chat, session }: typeof first) =>
      chat.messages.map(message => {
        const { index, count } = session.getState().branches(message);
        return `${index + 1}/${count}`;
      });
    const all = (...wanted: string[]) => until(() => tabs.every(tab => versions(tab).join() === wanted.join()));
    const one = '[[tokens=3]] one';
    const two = '[[tokens=3]] two';
    await say(() => first.chat.sendMessage({ text: one }), one);
    await say(() => first.chat.sendMessage({ text: two }), one, two);
    await first.chat.regenerate();
    await all('1/1', '1/1', '1/1', '2/2');
    // The AI SDK's edit keeps the message's id.
    const { id: edited = '' } = second.chat.messages[0] ?? {};
    await say(() => second.chat.sendMessage({ text: '[[echo]] edited', messageId: edited }), '[[echo]] edited');
    await all('2/2', '1/1');
    expect(answerOf(first.chat)).not.toContain('two');
    await first.session.getState().branches({ id: edited }).previous();
    await shows(tabs, one, two);
    await all('1/2', '1/1', '1/1', '2/2');
    await second.session.getState().branches(second.chat.messages[3] as UIMessage).previous();
    await all('1/2', '1/1', '1/1', '1/2');
    const chosen = second.chat.messages.map(({ id }) => id);
    await until(() => first.chat.messages.map(({ id }) => id).join() === chosen.join());
    // At an end, nothing happens; a tab that loads now shows the same.
    await first.session.getState().branches(first.chat.messages[0] as UIMessage).previous();
    const third = await follow();
    await until(() => third.chat.messages.map(({ id }) => id).join() === chosen.join());
    expect(versions(third)).toEqual(versions(first));
    await say(() => third.chat.sendMessage({ text: '[[echo]] three' }), one, two, '[[echo]] three');
    expect(answerOf(third.chat)).toContain('two');
    expect(answerOf(third.chat)).not.toContain('edited');

    void second.chat.sendMessage({ text: '[[tokens=20000 rate=50 first=0]] go' });
    await until(() => first.chat.status === 'streaming');
    const { next } = first.session.getState().branches({ id: chosen[0] ?? '' });
    await expect(next()).rejects.toMatchObject({ code: 'run_active' });
    await second.session.stop();
  });

  it('ten of them stay live and can send, each its own chat, over six connections', async () => {
    const { fetch, state } = sixConnections();
    const ids = Array.from({ length: 10 }, (_, index) => `${id}-${index}`);
    const tabs = await Promise.all(
      ids.map(tabId => openSession({ api: direct() } as never, { id: tabId, fetch })),
    );
    leaving.push(...tabs.map(({ leave }) => leave));
    await until(() => tabs.every(({ session }) => session.getState().loaded));
    for (const { chat } of tabs) {
      void chat.sendMessage({ text: '[[tokens=20000 rate=50 first=100ms]] go' });
    }
    await until(() => tabs.every(({ chat }) => answerOf(chat).length > 20));
    // The fourth and later tabs close their response once the feed has the run.
    await until(() => state.open <= 4, 'four connections at most');
    expect(tabs.every(({ chat }) => chat.status === 'streaming')).toBe(true);
    console.log(`ten tabs that stream: ${state.open} connections held, ${state.most} at most`);
    for (const { session } of tabs) await session.stop();
    await until(() => tabs.every(({ chat }) => chat.status === 'ready'));
    expect(tabs.every(({ finishes }) => finishes.length === 1)).toBe(true);
  });
});
