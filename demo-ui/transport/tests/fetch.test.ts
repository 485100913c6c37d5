import { Chat } from 'react7';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { ChatSession } from '../src/session.js';
import { MidstreamChatTransport } from '../src/transport.js';
import { textOf, until } from './support/chats.js';
import { ScriptedGateway } from './support/scripted-gateway.js';

let gateway: ScriptedGateway;
const streaming = globalThis.fetch;
/** React Native's own `fetch`: it returns the whole body, or none. */
const withoutBody = vi.fn(async (...request: Parameters<typeof fetch>) => {
  const { status, headers } = await streaming(...request);
  return Object.defineProperty(new Response(null, { status, headers }), 'body', { value: undefined });
});

beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
  // As in an Expo app: no globals that only browsers have.
  vi.stubGlobal('fetch', withoutBody);
  vi.stubGlobal('crypto', undefined);
  vi.stubGlobal('DOMException', undefined);
  vi.stubGlobal('BroadcastChannel', undefined);
});
afterEach(async () => {
  vi.unstubAllGlobals();
  withoutBody.mockClear();
  await gateway.close();
});

describe('in an app', () => {
  it('everything is asked with the fetch that the application gives', async () => {
    const asked: string[] = [];
    const transport = new MidstreamChatTransport({
      api: gateway.api,
      fetch: (input, init) => {
        asked.push(`${init?.method ?? 'GET'} ${new URL(String(input)).pathname}`);
        return streaming(input, init);
      },
    });
    const chat = new Chat({ id: 'c', transport });
    const session = new ChatSession(() => chat, transport);
    const leave = session.start();
    await until(() => session.getState().connection === 'live');
    const sent = chat.sendMessage({ text: 'hello' });
    await until(() => gateway.active('c'));
    gateway.say('c', ['half']);
    await until(() => textOf(chat.lastMessage) === 'half');
    await chat.stop();
    await sent;
    await until(() => gateway.stops().length);
    leave();

    expect(new Set(asked)).toEqual(
      new Set(['GET /api/chat', 'POST /api/chat', 'POST /api/chat/c/stop']),
    );
    expect(chat.error).toBeUndefined();
    expect(withoutBody).not.toHaveBeenCalled();
  });

  it('a fetch that cannot stream is named in words', async () => {
    const chat = new Chat({ id: 'c', transport: new MidstreamChatTransport({ api: gateway.api }) });
    await chat.sendMessage({ text: 'hello' });

    expect(chat.error).toMatchObject({ code: 'bad_response' });
    expect(chat.error?.message).toContain('expo/fetch');
  });
});
