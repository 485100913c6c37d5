/** Follows the session feed, until the package `midstream` does. */
import { useEffect, useRef, useState } from 'react';
import type { UseChatHelpers } from '@ai-sdk/react';
import { network } from '../network/network';
import { SseReader } from '../network/sse';
import type { Connection, Message, RunInfo } from './types';

export interface Presence {
  user: string;
  tabs: number;
}

export interface LocalSession {
  connection: Connection;
  run: RunInfo | null;
  presence: Presence[];
  unsent: Message[];
}

interface Snapshot {
  messages: Message[];
  runs: RunInfo[];
  presence: Presence[];
}

export function useLocalSession(id: string, chat: UseChatHelpers<Message>): LocalSession {
  const [connection, setConnection] = useState<Connection>('reconnecting');
  const [run, setRun] = useState<RunInfo | null>(null);
  const [presence, setPresence] = useState<Presence[]>([]);
  const latest = useRef(chat);
  latest.current = chat;

  useEffect(() => {
    const controller = new AbortController();
    let position: string | null = null;
    const idle = () => latest.current.status === 'ready' || latest.current.status === 'error';
    const resume = (info: RunInfo) => {
      if (info.state === 'open' && idle()) void latest.current.resumeStream();
    };
    const put = (message: Message) =>
      latest.current.setMessages((messages) => {
        const at = messages.findIndex((each) => each.id === message.id);
        return at < 0 ? [...messages, message] : messages.with(at, message);
      });
    const receive = (name: string, data: unknown) => {
      if (name === 'snapshot') {
        const snapshot = data as Snapshot;
        if (idle()) latest.current.setMessages(snapshot.messages);
        setPresence(snapshot.presence);
        setRun(snapshot.runs.at(-1) ?? null);
        const open = snapshot.runs.at(-1);
        if (open) resume(open);
      } else if (name === 'message' && idle()) put((data as { message: Message }).message);
      else if (name === 'run') {
        setRun(data as RunInfo);
        setTimeout(() => resume(data as RunInfo), 30);
      } else if (name === 'presence') setPresence((data as { here: Presence[] }).here);
    };
    const follow = async () => {
      const after = position === null ? '' : `?after=${position}`;
      const response = await network.fetch(`/api/chat/${id}/events${after}`, {
        signal: controller.signal,
      });
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      setConnection('live');
      const sse = new SseReader();
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        for (const item of sse.push(text)) {
          if (item.kind !== 'event') continue;
          position = item.id ?? position;
          receive(item.name, JSON.parse(item.data));
        }
      }
    };
    const keep = async () => {
      while (!controller.signal.aborted) {
        await follow().catch(() => undefined);
        if (controller.signal.aborted) return;
        setConnection('reconnecting');
        await new Promise((resolve) => setTimeout(resolve, 700));
      }
    };
    void keep();
    return () => controller.abort();
  }, [id]);

  return { connection, run, presence, unsent: [] };
}
