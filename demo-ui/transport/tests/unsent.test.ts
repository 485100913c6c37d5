import type { UIMessage } from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { CHATS, until, untilIdle } from './support/chats.js';
import { ScriptedGateway } from './support/scripted-gateway.js';
import { tabsOf, textsOf as texts } from './support/tab.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());
const { tab, twoTabs } = tabsOf(() => gateway);

describe.each(CHATS)('unsent messages of a chat of %s', (_, Chat) => {
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
      // The model is silent from here on: only the chat itself can repair this.
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
    // The aggregated state, not the chunks again: a tool that has answered is not called again.
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
    gateway.refuse(500, 'internal_error');
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
    gateway.refuse(404, 'agent_not_found');
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
    gateway.refuse(500, 'internal_error');
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
    await new Promise(resolve => setTimeout(resolve, 20)); // time for a send that must not happen
    gateway.speak();
    await until(() => texts(second).join() === 'theirs,half done,mine,fine');
    await until(() => second.session.getState().run?.id === 'run_2');
    expect(Math.max(...unsent)).toBe(0);
  });

  it('resends a message that has failed twice', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    gateway.refuse(500, 'internal_error');
    await chat.sendMessage({ text: 'mine' });
    expect([texts({ chat }), chat.status]).toEqual([['mine'], 'error']);
    gateway.refuse(500, 'internal_error');
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
    gateway.refuse(500, 'internal_error');
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
    gateway.refuse(500, 'internal_error');
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
    // As in an application that changes its sends.
    gateway.accept('c', { ...(left?.message as UIMessage), parts: [{ type: 'text', text: 'other' }] });
    gateway.isFollowed = true;
    await until(() => texts(second).join() === 'theirs,fine,mine,too,other');
    expect(second.session.getState().unsent).toEqual([]);
  });

  it('moves a message that was stopped before it arrived to unsent, and resends it', async () => {
    const [first, second] = await twoTabs(Chat);
    gateway.ignore();
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

  it('moves a message that failed to unsent once a later one was accepted', async () => {
    const { chat, session } = await tab({ Chat });
    await until(() => session.getState().loaded);
    gateway.refuse(500, 'internal_error');
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
    gateway.refuse(409, 'run_active');
    await second.chat.regenerate();
    expect(second.chat.error).toMatchObject({ code: 'run_active' });
    await until(() => texts(second).join() === 'hello,fine');
    expect(second.session.getState().unsent).toEqual([]);
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
});
