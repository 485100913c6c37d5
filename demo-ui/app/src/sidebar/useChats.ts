/** The person's sessions, loaded again when something may have changed. */
import { useCallback, useEffect, useState } from 'react';
import { eraseChat, listChats, type ChatSummary } from '../network/api';

const EVERY_MS = 5000;

export function useChats(changes: unknown) {
  const [chats, setChats] = useState<ChatSummary[] | null>(null);
  const [problem, setProblem] = useState('');

  const load = useCallback(async () => {
    try {
      setChats(await listChats());
      setProblem('');
    } catch {
      setProblem('The gateway does not answer. Retrying.');
    }
  }, []);
  useEffect(() => {
    void load();
    const timer = setInterval(() => document.visibilityState === 'visible' && void load(), EVERY_MS);
    return () => clearInterval(timer);
  }, [load, changes]);

  const erase = async (id: string) => {
    setChats((present) => present?.filter((chat) => chat.id !== id) ?? null);
    await eraseChat(id).catch(() => undefined);
    await load();
  };
  return { chats, problem, erase };
}
