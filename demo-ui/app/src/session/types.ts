/** The demo's messages, with what the gateway says of an answer. */
import type { UIMessage } from 'ai';

export interface Metadata {
  model?: string;
  usage?: { inputTokens?: number; outputTokens?: number };
  durationMs?: number;
  finishReason?: string;
}

export type Message = UIMessage<Metadata>;
