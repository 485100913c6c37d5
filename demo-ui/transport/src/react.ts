import type { UIMessage } from 'ai';
import { useEffect, useLayoutEffect, useMemo, useSyncExternalStore } from 'react';

import { type ChatLike, ChatSession, type SessionState } from './session.js';
import type { MidstreamChatTransport } from './transport.js';

/** The session's state, and its actions. */
export interface Session<MESSAGE extends UIMessage> extends SessionState<MESSAGE> {
  stop: () => Promise<void>;
  resend: (id?: string) => Promise<void>;
  discard: (id: string) => void;
  /** Delete one message, in every tab; `run_active` while an answer that involves it is written. */
  remove: (id: string) => Promise<void>;
  /** Delete all messages. */
  clear: () => Promise<void>;
}

const useBrowserLayoutEffect = typeof document === 'undefined' ? useEffect : useLayoutEffect;

/**
 * Keep a chat equal to its session, in every tab and on every device.
 *
 * Call it after `useChat`, in the same component or below it. Pass what `useChat` returned, or a
 * `Chat`, and the chat's transport, which must outlive renders.
 */
export function useSession<MESSAGE extends UIMessage>(
  chat: ChatLike<MESSAGE>,
  { transport }: { transport: MidstreamChatTransport<MESSAGE> },
): Session<MESSAGE> {
  const chatId = chat.id;
  // One session for each chat: the session of an earlier chat must not reach the next one.
  const { session, latest } = useMemo(() => {
    const latest = { chat, closeTeardown: () => {} };
    return { latest, session: new ChatSession<MESSAGE>(() => latest.chat, transport) };
  }, [chatId, transport]);
  useBrowserLayoutEffect(() => {
    latest.chat = chat;
  });
  // Layout effects are cleaned up before all others: the teardown window is open when `useChat`
  // of ai 7 aborts in its own clean-up.
  useBrowserLayoutEffect(() => {
    // A suspended component is back: only its layout effects were cleaned up.
    latest.closeTeardown();
    return () => {
      latest.closeTeardown = transport.openTeardown(chatId);
    };
  }, [latest]);
  useEffect(() => {
    const leave = session.start();
    return () => {
      leave();
      setTimeout(latest.closeTeardown, 0);
    };
  }, [session]);
  useEffect(() => session.chatChanged(), [session, chat.status]);
  const state = useSyncExternalStore(session.subscribe, session.getState, session.getState);
  const { stop, resend, discard, remove, clear } = session;
  return useMemo(
    () => ({ ...state, stop, resend, discard, remove, clear }),
    [state, session],
  );
}

export type { Branches } from './branches.js';
export type { ChatLike, Phase, SessionState, UnsentMessage } from './session.js';
export type { QueueActions } from './queue.js';
export type { Presence, QueueEntry, QueueState, RunInfo, SteerOutcome } from './feed/session-model.js';
