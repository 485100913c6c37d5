import { vi } from 'vitest';

import type { ChatInit, UIMessage } from 'ai';

import type { ScriptedGateway } from './gateway.js';
import { CHATS } from './chats.js';

type Package = typeof import('../src/index.js');

/** A page of its own, as far as the package can tell: its modules are loaded again. */
export async function openTab(): Promise<Package> {
  vi.resetModules();
  return import('../src/index.js');
}

export interface Finish {
  isAbort: boolean;
  isDisconnect: boolean;
  isError: boolean;
}

/** A tab with a chat of the newest version that follows a session. */
export async function openSession(
  gateway: ScriptedGateway,
  init: Pick<ChatInit<UIMessage>, 'messages' | 'sendAutomaticallyWhen'> & {
    id?: string;
    fetch?: typeof fetch;
    Chat?: (typeof CHATS)[number][1];
  } = {},
) {
  const { MidstreamChatTransport, ChatSession } = await openTab();
  const { id = 'c', fetch, Chat = (CHATS[2] as (typeof CHATS)[number])[1], ...rest } = init;
  const finishes: Finish[] = [];
  const transport = new MidstreamChatTransport({ api: gateway.api, fetch });
  const chat = new Chat({
    id,
    transport,
    onFinish: ({ isAbort, isDisconnect, isError }) => {
      finishes.push({ isAbort, isDisconnect, isError });
    },
    ...rest,
  });
  const session = new ChatSession(() => chat, transport);
  const leave = session.start();
  return { chat, session, transport, finishes, leave };
}
