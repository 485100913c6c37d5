/** What the queue and its messages say to people. */
import type { QueueState } from 'midstream-chat/react';
import { type Message, textOf } from '../session/types';
import { splitDirectives } from '../words/directives';

const EXCERPT = 40;

/** Return a message in one line: its words, or what else it holds. */
export function wordsOf(message: Message): string {
  const { words, directives } = splitDirectives(textOf(message));
  const names = message.parts.flatMap((part) => (part.type === 'file' ? [part.filename ?? 'a file'] : []));
  return words || names.join(', ') || directives.join(', ');
}

/** Return a message's first words, to name the buttons that are about it. */
export function excerptOf(message: Message): string {
  const words = wordsOf(message).replace(/\s+/g, ' ');
  return `“${words.length > EXCERPT ? `${words.slice(0, EXCERPT - 1).trimEnd()}…` : words}”`;
}

/** Return why the queue does not move, or when it does. */
export function stateOf({ paused, waitsFor }: Pick<QueueState<Message>, 'paused' | 'waitsFor'>): string {
  if (paused === 'stopped') return 'Paused: the answer was stopped';
  if (paused === 'failed') return 'Paused: the answer failed';
  if (waitsFor === 'approval') return 'Next, once you have allowed or refused';
  if (waitsFor === 'tool') return 'Next, once the tool has its result';
  return 'Next, when this answer ends';
}

const UNREAD: Record<string, string> = {
  finished: 'the answer ended first',
  'stop-condition': 'the answer may take no further step',
  'waiting-for-tool-results': 'the answer waits for a person or a tool',
  aborted: 'the answer was stopped',
  error: 'the answer failed',
  unsupported: 'it takes no messages',
};

/** Return why an answer has not read a message. */
export function unreadOf(reason: unknown): string {
  return UNREAD[String(reason)] ?? 'the answer ended first';
}

const REFUSALS: Record<string, string> = {
  queue_full: 'Not queued: the queue is full. Wait for an answer, or remove a message.',
  too_large: 'Not queued: the message is too large.',
  entry_taken: 'Not changed: the message is being answered already.',
  message_not_found: 'Not changed: the message was removed.',
  conflict: 'Not changed: the message was edited elsewhere meanwhile.',
  unreachable: 'The gateway cannot be reached. Nothing is lost: try again.',
};

/** Return why a request about the queue failed. */
export function refusalOf(error: unknown): string {
  const { code = '', message, details } = error as { code?: string; message: string; details?: { reason?: unknown } };
  if (code === 'steer_not_delivered') return `Not given to the answer: ${unreadOf(details?.reason)}.`;
  return REFUSALS[code] ?? message;
}

/** `1st`, `2nd`, `11th`. */
export function ordinal(place: number): string {
  const last = place % 100 > 10 && place % 100 < 14 ? 0 : place % 10;
  return `${place}${['th', 'st', 'nd', 'rd'][last] ?? 'th'}`;
}
