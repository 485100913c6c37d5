import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { FeedConnection } from '../src/feed/feed-connection.js';
import { CHATS, textOf, until } from './support/chats.js';
import { ScriptedGateway } from './support/scripted-gateway.js';
import { type Tab, tabsOf, textsOf } from './support/tab.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(async () => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  await gateway.close();
});
const { tab } = tabsOf(() => gateway);
const texts = (of: Pick<Tab, 'chat'>) => textsOf(of).join();
const isLive = ({ session }: Pick<Tab, 'session'>) => session.getState().connection === 'live';

/** A tab with a window of its own, which gets the events of its page only. */
async function pageTab(init?: Parameters<typeof tab>[0]) {
  const window = new EventTarget();
  vi.stubGlobal('addEventListener', window.addEventListener.bind(window));
  const opened = await tab(init);
  const leaves = () => window.dispatchEvent(new Event('pagehide'));
  const returns = () => window.dispatchEvent(new Event('pageshow'));
  return { ...opened, leaves, returns };
}

async function ask({ chat }: Pick<Tab, 'chat'>, text: string) {
  void chat.sendMessage({ text });
  await until(() => gateway.active(chat.id), 'a run');
}

/** Web Locks as some browsers have them. Counts the requests. */
function stubLocks(request: (callback: () => Promise<void>) => Promise<void>) {
  const state = { asked: 0 };
  const locks = {
    request: (_name: string, _options: object, callback: () => Promise<void>) => {
      state.asked += 1;
      return request(callback);
    },
  };
  vi.stubGlobal('navigator', { locks });
  return state;
}

const refused = () => Promise.reject(new DOMException('refused', 'SecurityError'));

describe('a tab that cannot share', () => {
  const lacks: [string, () => { asked: number }, number][] = [
    ['is refused locks', () => stubLocks(refused), 1],
    [
      'has a manager of locks that throws',
      () =>
        stubLocks(() => {
          throw new DOMException('refused', 'SecurityError');
        }),
      1,
    ],
    [
      'is refused a channel',
      () => {
        const refuse = class {
          constructor() {
            throw new DOMException('refused', 'SecurityError');
          }
        };
        vi.stubGlobal('BroadcastChannel', refuse);
        return stubLocks(refused);
      },
      0,
    ],
  ];

  it.each(lacks)('as it %s leads alone, and asks no more', async (_, stub, asked) => {
    const locks = stub();
    const both = [await tab(), await tab()] as const;
    await until(() => both.every(isLive));
    await ask(both[0], 'hello');
    gateway.answer('c', ['fine']);
    await until(() => both.every(each => texts(each) === 'hello,fine'));
    expect(gateway.requests.filter(({ url }) => url.includes('follow='))).toHaveLength(2);
    // A tab that sends requests a slot, too.
    expect(locks.asked).toBeGreaterThanOrEqual(2 * asked);
    expect(locks.asked).toBeLessThanOrEqual(2 * asked + 1);
  });

  it('as its lock is taken away each time gives up, after waits', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const locks = stubLocks(async callback => {
      void callback();
      throw new DOMException('taken away', 'AbortError');
    });
    const opened = await tab();
    await vi.advanceTimersByTimeAsync(0);
    expect(locks.asked).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(locks.asked).toBe(4);
    vi.useRealTimers();
    await until(() => isLive(opened));
    expect(locks.asked).toBe(4);
  });
});

describe.each(CHATS)('a page of %s that goes', (_, Chat) => {
  it('ends what it has open, asks for nothing, stops nothing, and goes on when it is back', async () => {
    const opened = await pageTab({ Chat });
    await until(() => isLive(opened));
    await ask(opened, 'hello');
    gateway.say('c', ['half ']);
    await until(() => texts(opened) === 'hello,half ');
    expect(gateway.open).toBe(2);
    opened.leaves();
    await until(() => gateway.open === 0);
    const { length } = gateway.requests;
    expect(isLive(opened)).toBe(false);
    gateway.say('c', ['and ']);
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(gateway.requests).toHaveLength(length);
    opened.returns();
    await until(() => texts(opened) === 'hello,half and ');
    gateway.answer('c', ['done']);
    await until(() => texts(opened) === 'hello,half and done' && opened.chat.status === 'ready');
    await until(() => isLive(opened));
    expect(opened.finishes).toEqual([{ isAbort: false, isDisconnect: false, isError: false }]);
    expect([gateway.stops(), gateway.runs.size]).toEqual([[], 1]);
  });

  it('beside one that leads is told what it missed when it is back', async () => {
    const [leader, follower] = [await pageTab({ Chat }), await pageTab({ Chat })];
    await until(() => isLive(leader) && isLive(follower));
    follower.leaves();
    await ask(leader, 'hello');
    gateway.answer('c', ['fine']);
    await until(() => texts(leader) === 'hello,fine');
    expect(texts(follower)).toBe('');
    follower.returns();
    await until(() => texts(follower) === 'hello,fine' && isLive(follower));
    await ask(leader, 'and');
    gateway.answer('c', ['on']);
    await until(() => texts(follower) === 'hello,fine,and,on');
    expect(gateway.requests.filter(({ url }) => /follow=/.test(url) && !/tabs=/.test(url)).length).toBe(1);
  });

  it('and led gives the lead to another', async () => {
    const [leader, follower] = [await pageTab({ Chat }), await pageTab({ Chat })];
    await until(() => isLive(leader) && isLive(follower));
    leader.leaves();
    await ask(follower, 'hello');
    gateway.answer('c', ['fine']);
    await until(() => texts(follower) === 'hello,fine' && isLive(follower));
    leader.returns();
    await until(() => texts(leader) === 'hello,fine' && isLive(leader));
    expect(gateway.open).toBe(1);
  });
});

it('sends again what the browser has aborted, as at a click on a download', async () => {
  let aborts = 2;
  const opened = await tab({
    fetch: (input, init) =>
      init?.method === 'POST' && aborts-- > 0
        ? Promise.reject(new DOMException('The operation was aborted.', 'AbortError'))
        : fetch(input, init),
  });
  await until(() => isLive(opened));
  await ask(opened, 'hello');
  gateway.answer('c', ['fine']);
  await until(() => texts(opened) === 'hello,fine');
  expect(opened.finishes).toMatchObject([{ isAbort: false }]);
  expect(gateway.stops()).toEqual([]);
});

it('keeps all its requests out of the cache', async () => {
  const caches = new Set<unknown>();
  const seen: typeof fetch = (input, init) => {
    caches.add(init?.cache);
    return fetch(input, init);
  };
  const first = await tab({ fetch: seen });
  await until(() => isLive(first));
  await ask(first, 'hello');
  gateway.say('c', ['half ']);
  const late = await tab({ fetch: seen });
  await until(() => texts(late) === 'hello,half ');
  await late.chat.stop();
  expect(caches).toEqual(new Set(['no-store']));
});

it('gets the messages again where an event does not fit', async () => {
  const opened = await tab();
  await until(() => isLive(opened));
  const message = { id: 'm', role: 'user' as const, parts: [{ type: 'text' as const, text: 'lost' }] };
  gateway.messages.set('c', [message]);
  // Its parent is unknown to this page, and no event follows it.
  gateway.record('c', 'message', { message, parentId: 'unheard-of' });
  await until(() => textOf(opened.chat.messages[0]) === 'lost');
});

it('waits longer each time before a feed that breaks as soon as it is there', async () => {
  vi.useFakeTimers();
  let asked = 0;
  const feed = new FeedConnection(
    {
      follow: async () => ({ url: 'http://gateway.invalid', init: {} }),
      fetch: async () => {
        asked += 1;
        return new Response(':\n\n', { headers: { 'content-type': 'text/event-stream' } });
      },
    },
    { event: () => {}, state: () => {}, beat: () => {} },
  );
  feed.follow(new Map([['c', { position: null, tabs: 1 }]]));
  await vi.advanceTimersByTimeAsync(60_000);
  feed.close();
  // At 0 s, then after waits of 0, ¼, ½, 1, 2, 4, 8 and 10 s, each at least half as long.
  expect(asked).toBeGreaterThan(5);
  expect(asked).toBeLessThan(20);
});
