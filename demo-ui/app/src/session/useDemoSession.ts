/** One session, as the demo uses it: `useChat`, and what the session feed adds. */
import { useChat } from '@ai-sdk/react';
import { DefaultChatTransport } from 'ai';
import { useMemo, useState } from 'react';
import { network } from '../network/network';
import { useLocalSession } from './localSession';
import type { Message } from './types';

export function useDemoSession(id: string) {
  const transport = useMemo(
    () =>
      new DefaultChatTransport<Message>({
        api: '/api/chat',
        fetch: network.fetch,
        headers: { 'x-ai-sdk-version': '7' },
      }),
    [],
  );
  const chat = useChat<Message>({ id, transport, throttle: 40 });
  const session = useLocalSession(id, chat);
  const [stoppedHere, setStoppedHere] = useState<string | null>(null);
  const stop = async () => {
    setStoppedHere(session.run?.id ?? null);
    await network.fetch(`/api/chat/${id}/stop`, { method: 'POST', body: '{}' });
    await chat.stop();
  };
  const resend = (_message: Message) => Promise.resolve();
  return { ...chat, ...session, stop, resend, stoppedHere };
}

export type DemoSession = ReturnType<typeof useDemoSession>;
