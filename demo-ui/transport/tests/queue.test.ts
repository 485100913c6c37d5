import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { MidstreamChatTransport } from '../src/transport.js';
import { CHATS, until } from './support/chats.js';
import { failure, ScriptedGateway } from './support/scripted-gateway.js';
import { tabsOf } from './support/tab.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());
const { tab } = tabsOf(() => gateway);

/** What the gateway was sent: `onActive` and text of each POST, in the order of arrival. */
const sent = () =>
  gateway.posts().map(({ onActive, message }) => {
    const { parts } = message as { parts: { text: string }[] };
    return `${(onActive as string | undefined) ?? 'send'} ${parts[0]?.text}`;
  });

/** Answer the next requests as a gateway answers a message that it has queued. */
function accept(count: number): void {
  for (let n = 0; n < count; n += 1) {
    gateway.faults.push((response, { method, headers }) => {
      if (method !== 'POST' || headers.prefer !== 'respond-async') return false;
      response.writeHead(202, { 'content-type': 'application/json' }).end('{"queued":{}}');
      return true;
    });
  }
}

describe.each(CHATS)('a message for the queue, beside a chat of %s,', (_, Chat) => {
  const open = async () => {
    const opened = await tab({ Chat });
    await until(() => opened.session.getState().loaded);
    return { ...opened, queue: opened.session.getState().queue };
  };

  it('does not overtake the send before it', async () => {
    const { chat, queue } = await open();
    let let1 = () => {};
    gateway.beforeSend = new Promise(go => (let1 = go));
    void chat.sendMessage({ text: 'a' });
    const added = [queue.add({ text: 'b' }), queue.add({ text: 'c' })];
    await until(() => sent().length === 1);
    accept(2);
    expect(sent()).toEqual(['send a']);
    let1();
    await Promise.all(added);
    expect(sent()).toEqual(['send a', 'queue b', 'queue c']);
  });

  it('is given to the running answer where the call says so', async () => {
    const { queue } = await open();
    accept(1);
    await queue.add({ text: 'b' }, { onActive: 'steer' });
    expect(sent()).toEqual(['steer b']);
  });

  it('is sent though the send before it was refused', async () => {
    const { chat, queue } = await open();
    gateway.refuse(413, 'too_large');
    void chat.sendMessage({ text: 'a' });
    accept(1);
    await queue.add({ text: 'b' });
    expect(sent()).toEqual(['send a', 'queue b']);
  });

  it('is sent behind a stop that is on its way', async () => {
    const { chat, session, queue } = await open();
    void chat.sendMessage({ text: 'a' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half']);
    let stopped = () => {};
    gateway.beforeStop = new Promise(done => (stopped = done));
    const stopping = session.stop();
    accept(1);
    const added = queue.add({ text: 'b' });
    await until(() => gateway.stops().length === 1);
    expect(sent()).toEqual(['send a']);
    stopped();
    await Promise.all([stopping, added]);
    expect(sent()).toEqual(['send a', 'queue b']);
  });
});

it('changes reach the gateway one after the other, also behind one that was refused', async () => {
  const { session } = await tab();
  const { queue } = session.getState();
  const order: (string | undefined)[] = [];
  for (let n = 0; n < 3; n += 1) {
    gateway.faults.push((response, { method, url }) => {
      if (url?.includes('/queue') !== true) return false;
      order.push(`${method} ${url.split('/queue/')[1]}`);
      // The first one is the slowest.
      setTimeout(() => failure(response, 409, 'entry_taken'), n === 0 ? 50 : 0);
      return true;
    });
  }
  const asked = [queue.move('x', 'y'), queue.edit('x', { text: 'z' }), queue.remove('x')];
  for (const each of asked) await expect(each).rejects.toMatchObject({ code: 'entry_taken' });
  expect(order).toEqual(['PATCH x', 'PATCH x', 'DELETE x']);
});

it('an edit names the version that it means', async () => {
  const { session } = await tab();
  const { queue } = session.getState();
  gateway.faults.push((response, { url }) => {
    if (url?.includes('/queue/') !== true) return false;
    failure(response, 409, 'conflict');
    return true;
  });
  const edit = queue.edit('x', { text: 'new' }, { ifVersion: 3 });
  await expect(edit).rejects.toMatchObject({ code: 'conflict' });
  const bodies = gateway.requests.filter(({ url }) => url.includes('/queue/')).map(({ body }) => body);
  expect(bodies).toEqual([
    { message: { id: 'x', role: 'user', parts: [{ type: 'text', text: 'new' }] }, ifVersion: 3 },
  ]);
});

it('the session is sending while a message is on its way to the queue', async () => {
  const { session } = await tab();
  await until(() => session.getState().loaded);
  accept(1);
  const added = session.getState().queue.add({ text: 'a' });
  expect(session.getState().phase).toBe('sending');
  await added;
  await until(() => session.getState().phase === 'idle');
});

it('is queued whatever the options of the transport say about sends', async () => {
  const transport = new MidstreamChatTransport({
    api: gateway.api,
    body: { onActive: 'interrupt' },
    prepareSendMessagesRequest: ({ id, messages, body }) => ({
      body: { ...body, id, message: messages.at(-1) },
      headers: { 'x-own': '1' },
    }),
  });
  accept(1);
  await transport.enqueue('c', { parts: [{ type: 'text', text: 'a' }] });
  expect(sent()).toEqual(['queue a']);
});
