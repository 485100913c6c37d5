// Code as in applications. It must type-check with every version of the AI SDK.
import { Chat, useChat } from '@ai-sdk/react';
import type { ChatTransport, UIMessage } from 'ai';

import { ChatSession, MidstreamChatTransport } from '../../src/index.js';
import { useSession } from '../../src/react.js';

type Message = UIMessage<{ cost: number }>;

const transport = new MidstreamChatTransport<Message>({
  api: 'https://gateway.example/api/chat',
  headers: async () => ({ authorization: 'Bearer token' }),
  credentials: 'include',
  body: () => ({ model: 'sim' }),
  prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
    body: { id, message: messages.at(-1), trigger, messageId },
  }),
  prepareReconnectToStreamRequest: ({ api, id }) => ({ api: `${api}/${id}/stream` }),
});

export const asTransport: ChatTransport<Message> = transport;

export function Conversation({ id }: { id: string }) {
  const chat = useChat<Message>({ id, transport });
  const session = useSession(chat, { transport });
  return [chat.messages.map(({ metadata }) => metadata?.cost), session.phase, session.unsent];
}

const chat = new Chat<Message>({ id: 'c', transport });
export const session: ChatSession<Message> = new ChatSession(() => chat, transport);

/** A transport without a type of its own serves chats with messages of any type. */
const untyped = new MidstreamChatTransport({ api: '/api/chat' });

export function Untyped({ id }: { id: string }) {
  const chat = useChat<Message>({ id, transport: untyped });
  return useSession<Message>(chat, { transport: untyped });
}
