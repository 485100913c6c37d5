import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { CHATS, sixConnections, textOf, until, untilIdle } from './support/chats.js';
import { ScriptedGateway } from './support/scripted-gateway.js';
import { tabsOf, textsOf as texts } from './support/tab.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());
const { tab, twoTabs } = tabsOf(() => gateway);

describe.each(CHATS)('a session of a chat of %s', (_, Chat) => {
  it('shows in a second tab what the first sends, as it streams', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['one ']);
    await until(() => texts(second).join() === 'hello,one ');
    expect([first.chat.status, second.chat.status]).toEqual(['streaming', 'streaming']);
    gateway.answer('c', ['two']);
    await until(() => first.chat.status === 'ready' && second.chat.status === 'ready');
    expect(texts(first)).toEqual(['hello', 'one two']);
    expect(second.chat.messages).toEqual(first.chat.messages);
    expect(second.finishes).toEqual([{ isAbort: false, isDisconnect: false, isError: false }]);
    expect(first.finishes).toHaveLength(1);
  });

  it('ends the run everywhere when the tab that only watches stops it', async () => {
    const first = await tab({ Chat });
    const second = await tab({ Chat });
    await until(() => second.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half']);
    await until(() => textOf(second.chat.lastMessage) === 'half');
    await second.chat.stop();
    await until(() => first.chat.status === 'ready' && gateway.active('c') === undefined);
    await until(() => second.chat.lastMessage?.parts.every(p => !('state' in p) || p.state === 'done'));
    expect(second.chat.messages).toEqual(first.chat.messages);
    expect(first.finishes).toMatchObject([{ isAbort: true }]);
    await until(() => second.session.getState().run?.outcome === 'stopped');
  });

  it('loads the history, and resumes what runs, in a tab that opens late', async () => {
    const first = await tab({ Chat });
    await until(() => first.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    const late = await tab({ Chat });
    await until(() => texts(late).join() === 'hello,half ');
    gateway.answer('c', ['done']);
    await untilIdle(late.chat);
    await until(() => texts(late).join() === 'hello,half done');
    expect(late.finishes).toHaveLength(1);
    expect(gateway.runs.size).toBe(1);
  });

  it('reads on while the stop of a later send is on its way', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    void chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts({ chat }).join() === 'first,half ');
    let answer = () => {};
    gateway.ignore();
    gateway.faults.push((response, { url }) => {
      answer = () => response.end('{"stopped":[]}');
      return url?.endsWith('/stop') === true;
    });
    void chat.sendMessage({ text: 'mine' });
    await until(() => gateway.posts().length === 2);
    await chat.stop();
    await until(() => gateway.stops().length);
    gateway.say('c', ['more ']);
    await until(() => texts({ chat })[1] === 'half more ');
    expect(gateway.requests.filter(({ url }) => url.includes('/stream'))).toEqual([]);
    answer();
    await until(() => texts({ chat }).join() === 'first,half more ' && chat.status === 'streaming');
    expect(session.getState().unsent).toMatchObject([{ error: { code: 'stopped' } }]);
  });

  it('stops an answer and the send that is on its way after it', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    void chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts({ chat }).join() === 'first,half ');
    gateway.ignore();
    void chat.sendMessage({ text: 'mine' });
    await until(() => gateway.posts().length === 2);
    await Promise.all([session.stop(), session.stop()]);
    expect(gateway.runs.get('run_1')).toMatchObject({ outcome: 'stopped' });
    await until(() => texts({ chat }).join() === 'first,half ' && chat.status === 'ready');
    expect(session.getState().unsent).toMatchObject([{ error: { code: 'stopped' } }]);
  });

  it('goes on with an answer that could not be stopped, and says so', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    for (const { chat, session } of [first, second, second]) {
      await until(() => texts({ chat }).join() === 'hello,half ' && chat.status === 'streaming');
      gateway.refuse(500, 'internal_error');
      await chat.stop();
      await until(() => session.getState().error?.code === 'internal_error');
      await until(() => texts({ chat }).join() === 'hello,half ' && chat.status === 'streaming');
    }
    // The chat reads until its own stop is answered.
    const resumes = () => gateway.requests.filter(({ url }) => url.includes('/stream')).length;
    const before = resumes();
    gateway.refuse(500, 'internal_error');
    await expect(second.session.stop()).rejects.toMatchObject({ code: 'internal_error' });
    gateway.say('c', ['more ']);
    for (const each of [first, second]) await until(() => texts(each).join() === 'hello,half more ');
    expect(resumes()).toBe(before);
    await second.session.stop();
    await until(() => second.chat.status === 'ready' && first.chat.status === 'ready');
    expect(second.session.getState().error).toBeUndefined();
    expect(gateway.runs.get('run_1')).toMatchObject({ outcome: 'stopped' });
  });

  it('resumes the run of another tab though a send was stopped here meanwhile', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.ignore();
    void first.chat.sendMessage({ text: 'mine' });
    await until(() => gateway.posts().length);
    void second.chat.sendMessage({ text: 'theirs' });
    await until(() => first.session.getState().run?.state === 'open');
    await first.chat.stop();
    gateway.say('c', ['half ']);
    await until(() => texts(first).join() === 'theirs,half ' && first.chat.status === 'streaming');
    gateway.answer('c', ['done']);
    await until(() => texts(first).join() === 'theirs,half done');
    expect(gateway.runs.get('run_1')).toMatchObject({ outcome: 'finished' });
  });

  it('shows the answer that ended before its resume arrived', async () => {
    const first = await tab({ Chat });
    await until(() => first.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    gateway.faults.push((response, { url }) => {
      if (url?.includes('/stream') !== true) return false;
      gateway.answer('c', ['done']);
      return Boolean(response.writeHead(204).end());
    });
    const late = await tab({ Chat });
    await until(() => texts(late).join() === 'hello,half done' && late.chat.status === 'ready');
    await until(() => late.session.getState().run?.state === 'ended');
    expect(late.chat.messages).toEqual(gateway.messages.get('c'));
    expect(late.session.getState().phase).toBe('idle');
  });

  it('shows an edit and a deletion of another tab', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'helo' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['what?']);
    await untilIdle(first.chat);
    await until(() => texts(second).join() === 'helo,what?');
    const [question] = first.chat.messages;
    void first.chat.sendMessage({ text: 'hello', messageId: question?.id });
    await until(() => gateway.active('c'));
    await until(() => texts(second).join() === 'hello');
    gateway.answer('c', ['hi']);
    await until(() => texts(second).join() === 'hello,hi' && second.chat.status === 'ready');
    await untilIdle(first.chat);
    gateway.erase('c');
    await until(() => second.chat.messages.length === 0 && first.chat.messages.length === 0);
    expect(second.session.getState().deleted).toBe(true);
  });

  it('makes up for what it missed while it was cut off', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    for (let index = 0; index < 10; index++) {
      gateway.say('c', [`w${index} `]);
      gateway.cut();
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    gateway.answer('c', ['end']);
    const all = 'w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 end';
    await until(() => texts(first)[1] === all && texts(second)[1] === all);
    await until(() => first.chat.status === 'ready' && second.chat.status === 'ready');
    expect([first.finishes.length, second.finishes.length]).toEqual([1, 1]);
  });
});

it('says that it waits for the model until there is a word to read', async () => {
  const { session, chat } = await tab();
  await until(() => session.getState().loaded);
  void chat.sendMessage({ text: 'hello' });
  await until(() => gateway.active('c'));
  const steps = [
    [{ type: 'start-step' }, 'waiting'],
    [{ type: 'reasoning-start', id: 'r' }, 'thinking'],
    [{ type: 'reasoning-end', id: 'r' }, 'thinking'],
    [{ type: 'text-start', id: 't' }, 'waiting'],
    [{ type: 'text-delta', id: 't', delta: 'word' }, 'writing'],
    [{ type: 'text-end', id: 't' }, 'writing'],
  ] as const;
  for (const [chunk, phase] of steps) {
    gateway.write('c', chunk);
    await until(() => session.getState().phase === phase, `${phase} after ${chunk.type}`);
  }
});

describe('ten tabs', () => {
  it('share one connection, and those that watch need none for a run', async () => {
    const opened = await Promise.all(Array.from({ length: 10 }, () => tab()));
    await until(() => opened.every(each => each.session.getState().loaded));
    await until(() => opened.every(each => each.session.getState().connection === 'live'));
    expect(gateway.open).toBe(1);
    void opened[3]?.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => opened.every(each => textOf(each.chat.lastMessage) === 'half '));
    expect(gateway.open).toBe(2);
    expect(gateway.requests.filter(({ url }) => url.includes('/stream'))).toEqual([]);
    gateway.answer('c', ['done']);
    await until(() => opened.every(each => each.chat.status === 'ready'));
    expect(new Set(opened.map(each => texts(each).join()))).toEqual(new Set(['hello,half done']));
  });

  it('are counted by the one that follows for them, as they come and go', async () => {
    const opened = [await tab(), await tab(), await tab(), await tab()];
    await until(() => opened.every(each => each.session.getState().loaded));
    // A chat that is twice on one page counts as one tab.
    const again = await tab({ transport: opened[1]?.transport });
    await until(() => again.session.getState().loaded);
    const said = () => {
      const { url } = gateway.requests.findLast(request => request.url.includes('follow=')) ?? {};
      return new URL(url ?? '', gateway.api).searchParams.getAll('tabs');
    };
    await until(() => said().join() === 'c@4');
    expect(gateway.open).toBe(1);
    opened[3]?.leave();
    await until(() => said().join() === 'c@3');
    expect(opened.slice(0, 3).map(each => each.session.getState().connection)).toEqual(
      Array(3).fill('live'),
    );
  });

  it('can all send at once in sessions of their own, over six connections', async () => {
    const ids = Array.from({ length: 10 }, (_, index) => `c${index}`);
    const { fetch, state } = sixConnections();
    const opened = await Promise.all(ids.map(id => tab({ id, fetch })));
    await until(() => opened.every(each => each.session.getState().loaded));
    for (const { chat } of opened) void chat.sendMessage({ text: 'hello' });
    await until(() => gateway.runs.size === 10);
    await until(() => state.open <= 4, 'free connections');
    for (const id of ids) gateway.answer(id, ['fine']);
    await until(() => opened.every(each => textOf(each.chat.lastMessage) === 'fine'));
  });

  it('that join an answer that says nothing for a while hold no connection for it', async () => {
    const { fetch, state } = sixConnections();
    const first = await tab({ fetch });
    await until(() => first.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    const late = await Promise.all(Array.from({ length: 9 }, () => tab({ fetch })));
    await until(() => late.every(each => texts(each).join() === 'hello,half '));
    await until(() => state.open <= 2, 'free connections');
    gateway.answer('c', ['done']);
    await until(() => late.every(each => texts(each).join() === 'hello,half done'));
  });

  it('of which one follows a chat later than the others get its messages at once', async () => {
    const first = await tab();
    await until(() => first.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => first.chat.status === 'ready');
    const second = await tab();
    // On the leader's page, and on another.
    const third = await tab({ transport: first.transport });
    await until(() => texts(second).join() === 'hello,fine');
    await until(() => texts(third).join() === 'hello,fine');
    // A later request may tell of more tabs.
    const feeds = gateway.requests.filter(({ url }) => /follow=/.test(url) && !/tabs=/.test(url));
    expect(feeds).toHaveLength(1);
  });

  it('stay live when the one that holds the feed closes', async () => {
    const opened = await Promise.all(Array.from({ length: 3 }, () => tab()));
    await until(() => opened.every(each => each.session.getState().loaded));
    const [leader, second, third] = opened as [typeof opened[0], typeof opened[0], typeof opened[0]];
    void second?.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => textOf(third?.chat.lastMessage) === 'half ');
    leader?.leave();
    gateway.answer('c', ['done']);
    await until(() => textOf(third?.chat.lastMessage) === 'half done');
    expect(third?.finishes).toHaveLength(1);
  });
});
