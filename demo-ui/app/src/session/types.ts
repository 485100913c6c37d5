/** The demo's messages, with the gateway's metadata about an answer. */
import type { UIMessage } from 'ai';

export interface Metadata {
  model?: string;
  usage?: { inputTokens?: number; outputTokens?: number };
  durationMs?: number;
  finishReason?: string;
}

export type Message = UIMessage<Metadata>;

/** Return a message's text as it was typed. */
export function textOf(message: Message): string {
  return message.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
}
