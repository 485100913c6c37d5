import { Chat } from 'react7';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { MidstreamChatTransport } from '../../src/transport.js';
import { until } from '../support/chats.js';
import { ScriptedGateway } from '../support/scripted-gateway.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());

/** Do as `useChatRuntime` does: subscribe while the chat is on the page. */
function shown(id: string) {
  const transport = new MidstreamChatTransport({ api: gateway.api, sessionId: () => 's' });
  const chat = new Chat({ id, transport });
  const { storage } = transport.getResumableAdapter();
  return { chat, storage, leave: storage.subscribe(() => {}, id) };
}

async function answering(id: string) {
  const page = shown(id);
  void page.chat.sendMessage({ text: 'hello' });
  await until(() => gateway.active('s'));
  gateway.say('s', ['fine']);
  await until(() => page.chat.status === 'streaming');
  return page;
}

describe('a chat that assistant-ui shows', () => {
  it('is the session that the page says', async () => {
    const { leave } = await answering('local-1');
    expect(gateway.posts()).toMatchObject([{ id: 's' }]);
    leave();
  });

  it('is stopped by its button', async () => {
    const { chat, leave } = await answering('local-2');
    await chat.stop();
    await until(() => gateway.stops().length);
    leave();
  });

  it.each([
    ['leaves the page', false],
    ['comes back at once, as in StrictMode', true],
  ])('is not stopped when it %s', async (_, returns) => {
    const { chat, storage, leave } = await answering(`local-3-${returns}`);
    const stopped = chat.stop();
    leave();
    if (returns) storage.subscribe(() => {}, chat.id);
    await stopped;
    expect(gateway.stops()).toEqual([]);
  });

  it('asks to resume once each time it comes', () => {
    const { chat, storage, leave } = shown('local-4');
    const first = storage.getStreamId(chat.id);
    expect(storage.getStreamId(chat.id)).toBe(first);
    leave();
    storage.subscribe(() => {}, chat.id);
    expect(storage.getStreamId(chat.id)).not.toBe(first);
  });
});
