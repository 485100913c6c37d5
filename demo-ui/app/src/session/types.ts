/** What the demo shows of a session, besides what `useChat` has. */
import type { UIMessage } from 'ai';

export interface RunInfo {
  id: string;
  state: 'open' | 'stopping' | 'ended';
  messageId: string;
  userMessageId: string;
  agent?: string;
  outcome?: 'finished' | 'stopped' | 'failed' | 'interrupted';
  stoppedBy?: string;
  startedAtMs: number;
  endedAtMs?: number;
}

export interface Usage {
  inputTokens?: number;
  outputTokens?: number;
}

export interface Metadata {
  model?: string;
  usage?: Usage;
  durationMs?: number;
}

export type Message = UIMessage<Metadata>;

export type Connection = 'live' | 'reconnecting' | 'offline';
