/** One session of the demo: `useChat` with the session sync. */
import { useChat } from '@ai-sdk/react';
import { MidstreamChatTransport } from 'midstream-chat';
import { useSession } from 'midstream-chat/react';
import { useEffect, useState } from 'react';
import { network } from '../network/network';
import { isSecondPane } from '../page/route';
import type { Message } from './types';

/** The only change from an application with `DefaultChatTransport`, apart from `fetch`. */
const transport = new MidstreamChatTransport<Message>({
  api: '/api/chat',
  fetch: network.fetch,
  // The second half of a split view has its own connections.
  scope: isSecondPane ? 'second' : '',
});

const RENDER_EVERY_MS = 40;

export function useDemoSession(id: string) {
  const [notice, setNotice] = useState('');
  const chat = useChat<Message>({
    id,
    transport,
    throttle: RENDER_EVERY_MS,
    onData: (part) => {
      if (part.type === 'data-status') setNotice((part.data as { text: string }).text);
    },
  });
  const session = useSession<Message>(chat, { transport });
  // The notice is about the wait, and ends with it.
  const { phase } = session;
  useEffect(() => {
    if (phase !== 'waiting') setNotice('');
  }, [phase]);
  const [stoppedHere, setStoppedHere] = useState<string | null>(null);
  const stop = () => {
    setStoppedHere(session.run?.id ?? null);
    return chat.stop();
  };
  return { chat, session, stop, stoppedHere, notice };
}

export type DemoSession = ReturnType<typeof useDemoSession>;
