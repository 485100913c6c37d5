/** One session, as the demo uses it: `useChat`, and what the session feed adds. */
import { useChat } from '@ai-sdk/react';
import { MidstreamChatTransport } from 'midstream-chat';
import { useSession } from 'midstream-chat/react';
import { useEffect, useState } from 'react';
import { network } from '../network/network';
import { isSecondPane } from '../page/route';
import type { Message } from './types';

/** The one line that differs from an application of `DefaultChatTransport`, but for its `fetch`. */
const transport = new MidstreamChatTransport<Message>({
  api: '/api/chat',
  fetch: network.fetch,
  // The second half of a split view is to have connections of its own.
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
  // What is said while one waits is over with the wait.
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
