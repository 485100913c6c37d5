import type { UIMessage } from 'ai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { MidstreamError } from '../../src/errors.js';
import { MidstreamChatTransport } from '../../src/transport.js';
import { CHATS, until } from '../support/chats.js';
import { ScriptedGateway } from '../support/scripted-gateway.js';
import { tabsOf, textsOf } from '../support/tab.js';

let gateway: ScriptedGateway;
beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
});
afterEach(() => gateway.close());
const { tab, twoTabs } = tabsOf(() => gateway);

function message(id: string, role: UIMessage['role'] = 'user'): UIMessage {
  return { id, role, parts: [{ type: 'text', text: id }] };
}

/** Return the place in the newest send's body. */
function placed(): object {
  const { parentId, head, messages, message } = gateway.posts().at(-1) ?? {};
  return { parentId, head, messages, message: (message as UIMessage | undefined)?.id };
}

describe.each(CHATS)('a chat of %s', (_, Chat) => {
  function open(messages: UIMessage[] = []) {
    const transport = new MidstreamChatTransport({ api: gateway.api });
    return new Chat({ id: 'c', transport, messages });
  }

  async function send(chat: ReturnType<typeof open>, id: string): Promise<void> {
    const sent = chat.sendMessage(message(id));
    await until(() => gateway.active('c')?.userMessageId === id);
    gateway.answer('c', [`re ${id}`]);
    await sent;
  }

  it('sends its last message alone, and says what it follows', async () => {
    const chat = open();
    await send(chat, 'u1');
    expect(placed()).toEqual({ message: 'u1' });
    const a1 = chat.lastMessage?.id;
    await send(chat, 'u2');
    expect(placed()).toEqual({ message: 'u2', parentId: a1, head: a1 });
  });

  it('says that the first message is another one', async () => {
    const chat = open();
    await send(chat, 'u1');
    const head = chat.lastMessage?.id;
    chat.messages = [];
    await send(chat, 'u1b');
    expect(placed()).toEqual({ message: 'u1b', parentId: null, head });
  });

  it('says what it follows where it was given its messages', async () => {
    await send(open([message('u1'), message('a1', 'assistant')]), 'u2');
    expect(placed()).toEqual({ message: 'u2', parentId: 'a1' });
  });

  it('sends once more, by ids, behind what the gateway does not have', async () => {
    const chat = open([message('u1'), message('a1', 'assistant')]);
    gateway.refuse(404, 'message_not_found');
    await send(chat, 'u2');
    const ids = [
      { id: 'u1', role: 'user', parts: [] },
      { id: 'a1', role: 'assistant', parts: [] },
    ];
    expect(placed()).toMatchObject({ messages: [...ids, { id: 'u2', role: 'user' }] });
    expect(gateway.posts()).toHaveLength(2);
    expect(new Set(gateway.posts().map(({ requestId }) => requestId)).size).toBe(1);
  });

  it('sends once more, to the end, if it meant the end', async () => {
    const chat = open();
    await send(chat, 'u1');
    gateway.refuse(404, 'message_not_found');
    await send(chat, 'u2');
    expect(placed()).toEqual({ message: 'u2' });
  });

  it('is told if that is not enough', async () => {
    const chat = open([message('u1'), message('a1', 'assistant')]);
    gateway.refuse(404, 'message_not_found');
    gateway.refuse(404, 'message_not_found');
    await chat.sendMessage(message('u2'));
    expect(chat.error).toBeInstanceOf(MidstreamError);
    expect(gateway.posts()).toHaveLength(2);
  });

  it('goes on with its answer alone', async () => {
    const chat = open([message('u1'), message('a1', 'assistant')]);
    gateway.messages.set('c', chat.messages);
    const sent = chat.sendMessage();
    await until(() => gateway.active('c'));
    gateway.answer('c', ['more']);
    await sent;
    expect(placed()).toMatchObject({ message: 'a1' });
  });
});

describe('a session', () => {
  it('knows what its chat shows before anything was sent', async () => {
    gateway.messages.set('c', [message('u1'), message('a1', 'assistant')]);
    const { chat } = await tab();
    await until(() => chat.messages.length === 2);
    void chat.sendMessage(message('u2'));
    await until(() => gateway.active('c'));
    expect(placed()).toEqual({ message: 'u2', parentId: 'a1', head: 'a1' });
  });

  it.each(CHATS)('deletes a message, and then all, in every tab (%s)', async (_, Chat) => {
    gateway.messages.set('c', ['u1', 'u2', 'u3'].map(id => message(id)));
    const [one, two] = await twoTabs(Chat);
    await until(() => textsOf(two).length === 3);
    await one.session.remove('u2');
    await until(() => [one, two].every(each => textsOf(each).join() === 'u1,u3'));
    await two.session.clear();
    await until(() => [one, two].every(each => textsOf(each).length === 0));
    expect(one.session.getState()).toMatchObject({ deleted: false, unsent: [] });
    const deletions = gateway.requests.filter(({ method }) => method === 'DELETE');
    expect(deletions.map(({ url }) => url)).toEqual([
      '/api/chat/c/messages/u2',
      '/api/chat/c/messages',
    ]);
  });

  it('says why a message was not deleted', async () => {
    const { session } = await tab();
    await until(() => session.getState().loaded);
    gateway.refuse(409, 'run_active');
    await expect(session.remove('u1')).rejects.toMatchObject({ code: 'run_active' });
  });
});
