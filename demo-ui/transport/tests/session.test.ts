import type { UIMessage } from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { CHATS, sixConnections, textOf, until, untilIdle } from './chats.js';
import { failure, ScriptedGateway } from './gateway.js';
import { openSession } from './tab.js';

let gateway: ScriptedGateway;
const tabs: Awaited<ReturnType<typeof openSession>>[] = [];

async function tab(init?: Parameters<typeof openSession>[1]) {
  const opened = await openSession(gateway, init);
  tabs.push(opened);
  return opened;
}

/** Two tabs with one session, which both have loaded. */
async function twoTabs(Chat: (typeof CHATS)[number][1]) {
  const both = [await tab({ Chat }), await tab({ Chat })] as const;
  await until(() => both.every(({ session }) => session.getState().loaded));
  return both;
}

beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(async () => {
  for (const { leave, chat } of tabs.splice(0)) {
    leave();
    void chat.stop();
  }
  await gateway.close();
});

const texts = (of: { chat: { messages: Parameters<typeof textOf>[0][] } }) =>
  of.chat.messages.map(textOf);

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

  it('moves a message that was refused to unsent, shows the other answer, and resends', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    void second.chat.sendMessage({ text: 'mine' });
    await until(() => second.session.getState().unsent.length);
    gateway.answer('c', ['fine']);
    await until(() => texts(second).join() === 'first,fine');
    await until(() => second.chat.status === 'ready' && first.chat.status === 'ready');
    expect(gateway.runs.size).toBe(1);
    expect(second.session.getState().unsent[0]).toMatchObject({ error: { code: 'run_active' } });
    void second.session.resend();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['too']);
    await until(() => texts(first).join() === 'first,fine,mine,too');
    await until(() => texts(second).join() === 'first,fine,mine,too');
    expect(second.session.getState().unsent).toEqual([]);
  });

  it('goes on with the answer that it was reading when a send of its own is refused', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    for (const { chat, session, finishes } of [second, first]) {
      await until(() => texts({ chat }).join() === 'first,half ');
      await chat.sendMessage({ text: 'mine' });
      // From here on the model is silent: nothing but the chat itself can put this right.
      await until(() => texts({ chat }).join() === 'first,half ' && chat.status === 'streaming');
      expect(chat.error).toBeUndefined();
      expect(session.getState().unsent).toMatchObject([{ error: { code: 'run_active' } }]);
      expect(finishes).toMatchObject([{ isError: true }, { isAbort: true }]);
    }
    await second.chat.stop();
    for (const { chat } of [first, second]) {
      await until(() => chat.status === 'ready');
      expect(texts({ chat })).toEqual(['first', 'half ']);
    }
    // The state, not the chunks once more: of a tool that has answered, the call is not made again.
    const resumes = gateway.requests.filter(({ url }) => url.includes('/stream'));
    expect(resumes).toHaveLength(2);
    expect(gateway.runs.get('run_1')).toMatchObject({ outcome: 'stopped' });
    expect(gateway.runs.size).toBe(1);
  });

  it('puts an edit that was refused back where it was, with the answer under way', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'one' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts(second).join() === 'one,fine' && first.chat.status === 'ready');
    void first.chat.sendMessage({ text: 'two' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts(second).join() === 'one,fine,two,half ');
    const messageId = second.chat.messages[0]?.id;
    await second.chat.sendMessage({ text: 'once', messageId });
    await until(() => texts(second).join() === 'one,fine,two,half ');
    await until(() => second.chat.status === 'streaming');
    expect(second.session.getState().unsent).toMatchObject([{ messageId }]);
    await second.chat.regenerate({ messageId: second.chat.messages[1]?.id });
    await until(() => texts(second).join() === 'one,fine,two,half ');
    await until(() => second.chat.status === 'streaming');
    gateway.answer('c', ['done']);
    await until(() => texts(second).join() === 'one,fine,two,half done');
  });

  it('moves a message that failed to unsent when it is asked to show the answer to another', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await second.chat.sendMessage({ text: 'mine' });
    void first.chat.sendMessage({ text: 'theirs' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts(second).join() === 'theirs,half ');
    expect(second.session.getState().unsent).toMatchObject([{ error: { code: 'unreachable' } }]);
  });

  it('keeps why a message was refused while another answer streams', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'theirs' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts(second).join() === 'theirs,half ');
    gateway.faults.push(response => (failure(response, 404, 'agent_not_found'), true));
    await second.chat.sendMessage({ text: 'mine' });
    await until(() => texts(second).join() === 'theirs,half ' && second.chat.status === 'streaming');
    expect(second.session.getState().unsent).toMatchObject([{ error: { code: 'agent_not_found' } }]);
  });

  it('moves an edit that failed to unsent, and shows what it was to change', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    void chat.sendMessage({ text: 'helo' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['what?']);
    await until(() => texts({ chat }).join() === 'helo,what?' && chat.status === 'ready');
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await chat.sendMessage({ text: 'hello', messageId: chat.messages[0]?.id });
    await until(() => texts({ chat }).join() === 'helo,what?');
    expect(session.getState().unsent).toMatchObject([
      { message: { parts: [{ text: 'hello' }] }, error: { code: 'internal_error' } },
    ]);
    void session.resend();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['hi']);
    await until(() => texts({ chat }).join() === 'hello,hi');
    expect(session.getState().unsent).toEqual([]);
  });

  it('reads on while the stop of a later send is on its way', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    void chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts({ chat }).join() === 'first,half ');
    let answer = () => {};
    gateway.faults.push(response => Boolean(response.once('close', () => {})));
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

  it('does not take back a message that was answered while its feed says nothing', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'theirs' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts(second).join() === 'theirs,half ');
    const unsent: number[] = [];
    second.session.subscribe(() => unsent.push(second.session.getState().unsent.length));
    gateway.isMute = true;
    gateway.answer('c', ['done']);
    void second.chat.sendMessage({ text: 'mine' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => second.chat.status === 'ready' && texts(second).at(-1) === 'fine');
    await new Promise(resolve => setTimeout(resolve, 20)); // for what must not happen
    gateway.speak();
    await until(() => texts(second).join() === 'theirs,half done,mine,fine');
    await until(() => second.session.getState().run?.id === 'run_2');
    expect(Math.max(...unsent)).toBe(0);
  });

  it('stops an answer and the send that is on its way after it', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    void chat.sendMessage({ text: 'first' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half ']);
    await until(() => texts({ chat }).join() === 'first,half ');
    gateway.faults.push(response => Boolean(response.once('close', () => {})));
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
      gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
      await chat.stop();
      await until(() => session.getState().error?.code === 'internal_error');
      await until(() => texts({ chat }).join() === 'hello,half ' && chat.status === 'streaming');
    }
    // Its own stop leaves the chat reading until it is answered.
    const resumes = () => gateway.requests.filter(({ url }) => url.includes('/stream')).length;
    const before = resumes();
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await expect(second.session.stop()).rejects.toMatchObject({ code: 'internal_error' });
    gateway.say('c', ['more ']);
    for (const each of [first, second]) await until(() => texts(each).join() === 'hello,half more ');
    expect(resumes()).toBe(before);
    await second.session.stop();
    await until(() => second.chat.status === 'ready' && first.chat.status === 'ready');
    expect(second.session.getState().error).toBeUndefined();
    expect(gateway.runs.get('run_1')).toMatchObject({ outcome: 'stopped' });
  });

  it('resends a message that has failed twice', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    const fail = () => gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    fail();
    await chat.sendMessage({ text: 'mine' });
    expect([texts({ chat }), chat.status]).toEqual([['mine'], 'error']);
    fail();
    await chat.sendMessage();
    await until(() => session.getState().unsent.length && texts({ chat }).length === 0);
    void session.resend();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts({ chat }).join() === 'mine,fine');
    expect(session.getState().unsent).toEqual([]);
  });

  it('keeps an edit that failed before the feed has told of its message', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    gateway.isMute = true;
    void chat.sendMessage({ text: 'helo' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['what?']);
    await untilIdle(chat);
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await chat.sendMessage({ text: 'hello', messageId: chat.messages[0]?.id });
    gateway.speak();
    await until(() => texts({ chat }).join() === 'helo,what?');
    expect(session.getState().unsent).toMatchObject([{ message: { parts: [{ text: 'hello' }] } }]);
  });

  it('keeps an edit whose message another tab has edited away', async () => {
    const [first, second] = await twoTabs(Chat);
    for (const text of ['one', 'two']) {
      void first.chat.sendMessage({ text });
      await until(() => gateway.active('c'));
      gateway.answer('c', ['fine']);
      await until(() => texts(second).slice(-2).join() === `${text},fine`);
      await until(() => first.chat.status === 'ready' && second.chat.status === 'ready');
    }
    const [one, , two] = first.chat.messages;
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await second.chat.sendMessage({ text: 'two!', messageId: two?.id });
    await until(() => second.session.getState().unsent.length);
    void first.chat.sendMessage({ text: 'one!', messageId: one?.id });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts(second).join() === 'one!,fine' && second.chat.status === 'ready');
    await expect(second.session.resend()).rejects.toThrow('not found');
    expect(second.session.getState().unsent).toMatchObject([{ messageId: two?.id }]);
  });

  it('forgets a message that was discarded while the session was away', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.isFollowed = false;
    gateway.cut();
    await until(() => second.session.getState().connection !== 'live');
    gateway.accept('c', { id: 'u', role: 'user', parts: [{ type: 'text', text: 'theirs' }] });
    await second.chat.sendMessage({ text: 'mine' });
    await until(() => second.session.getState().unsent.length);
    second.session.discard(second.session.getState().unsent[0]?.message.id ?? '');
    expect(texts(second)).toEqual([]);
    gateway.answer('c', ['fine']);
    gateway.isFollowed = true;
    for (const each of [first, second]) await until(() => texts(each).join() === 'theirs,fine');
    expect(second.session.getState().unsent).toEqual([]);
  });

  it('resends a message once though the chat still shows it, and knows it by its id', async () => {
    const [, second] = await twoTabs(Chat);
    gateway.isFollowed = false;
    gateway.cut();
    await until(() => second.session.getState().connection !== 'live');
    gateway.accept('c', { id: 'u', role: 'user', parts: [{ type: 'text', text: 'theirs' }] });
    for (const text of ['mine', 'changed']) {
      await second.chat.sendMessage({ text });
      await until(() => second.session.getState().unsent.length && second.chat.status === 'error');
    }
    gateway.answer('c', ['fine']);
    void second.session.resend();
    await until(() => gateway.active('c'));
    expect(texts(second).filter(text => text === 'mine')).toEqual(['mine']);
    gateway.answer('c', ['too']);
    await untilIdle(second.chat);
    const [left] = second.session.getState().unsent;
    // As an application may that changes what it sends.
    gateway.accept('c', { ...(left?.message as UIMessage), parts: [{ type: 'text', text: 'other' }] });
    gateway.isFollowed = true;
    await until(() => texts(second).join() === 'theirs,fine,mine,too,other');
    expect(second.session.getState().unsent).toEqual([]);
  });

  it('moves a message that was stopped before it arrived to unsent, and resends it', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.faults.push(response => Boolean(response.once('close', () => {})));
    void first.chat.sendMessage({ text: 'mine' });
    await until(() => gateway.posts().length);
    await first.chat.stop();
    await until(() => first.session.getState().unsent.length);
    void second.chat.sendMessage({ text: 'theirs' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts(first).join() === 'theirs,fine' && first.chat.status === 'ready');
    expect(first.session.getState().unsent).toMatchObject([{ error: { code: 'stopped' } }]);
    void first.session.resend();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['too']);
    for (const each of [first, second]) {
      await until(() => texts(each).join() === 'theirs,fine,mine,too');
    }
    expect(first.session.getState().unsent).toEqual([]);
  });

  it('shows a message whose stop and send have crossed, and does not resume its run', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    let arrive = () => {};
    gateway.beforeSend = new Promise(arrived => (arrive = arrived));
    void chat.sendMessage({ text: 'mine' });
    await until(() => gateway.posts().length);
    await chat.stop();
    await until(() => session.getState().unsent.length);
    arrive();
    await until(() => session.getState().run?.state === 'ended');
    await until(() => texts({ chat }).join() === 'mine');
    expect(session.getState().unsent).toEqual([]);
    expect(session.getState().run).toMatchObject({ outcome: 'stopped' });
    expect(gateway.requests.filter(({ url }) => url.includes('/stream'))).toEqual([]);
    gateway.beforeSend = Promise.resolve();
    void chat.sendMessage();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts({ chat }).join() === 'mine,fine');
  });

  it('resumes the run of another tab though a send was stopped here meanwhile', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.faults.push(response => Boolean(response.once('close', () => {})));
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

  it('moves a message that failed to unsent once a later one was accepted', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    gateway.faults.push(response => (failure(response, 500, 'internal_error'), true));
    await chat.sendMessage({ text: 'big' });
    expect([texts({ chat }), chat.status]).toEqual([['big'], 'error']);
    void chat.sendMessage({ text: 'small' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => session.getState().unsent.length && texts({ chat }).join() === 'small,fine');
    expect(session.getState().unsent).toMatchObject([{ message: { parts: [{ text: 'big' }] } }]);
  });

  it('shows a question once whose new answer was refused', async () => {
    const [first, second] = await twoTabs(Chat);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => texts(second).join() === 'hello,fine' && second.chat.status === 'ready');
    gateway.faults.push(response => (failure(response, 409, 'run_active'), true));
    await second.chat.regenerate();
    expect(second.chat.error).toMatchObject({ code: 'run_active' });
    await until(() => texts(second).join() === 'hello,fine');
    expect(second.session.getState().unsent).toEqual([]);
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

  it('keeps a message that never arrived, and what a tool answered here', async () => {
    const { chat, session } = await tab({ Chat, messages: [] });
    await until(() => session.getState().loaded);
    gateway.faults.push(response => (response.writeHead(413).end('<html>'), true));
    await chat.sendMessage({ text: 'lost' });
    gateway.record('c', 'presence', { here: [{ user: 'u', tabs: 2, lastSeenMs: 1 }] });
    await until(() => session.getState().here.length);
    expect(texts({ chat })).toEqual(['lost']);
    expect(chat.status).toBe('error');
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
    // Twice in one page is one tab.
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

  it('of which one follows a chat later than the others get its messages at once', async () => {
    const first = await tab();
    await until(() => first.session.getState().loaded);
    void first.chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.answer('c', ['fine']);
    await until(() => first.chat.status === 'ready');
    const second = await tab();
    // In the page that holds the feed, and in another one.
    const third = await tab({ transport: first.transport });
    await until(() => texts(second).join() === 'hello,fine');
    await until(() => texts(third).join() === 'hello,fine');
    // One that tells of more tabs may come later.
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
