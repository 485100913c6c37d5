import type { AbstractChat, ChatInit, UIMessage } from 'ai';
import { Chat as Chat5 } from 'react5';
import { Chat as Chat6 } from 'react6';
import { Chat as Chat7 } from 'react7';

type AnyChat = new (init: ChatInit<UIMessage>) => AbstractChat<UIMessage>;

/** The clients of each version of the AI SDK. */
export const CHATS: readonly [version: string, Chat: AnyChat][] = [
  ['ai 5', Chat5 as unknown as AnyChat],
  ['ai 6', Chat6 as unknown as AnyChat],
  ['ai 7', Chat7],
];

export function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map(part => (part.type === 'text' ? part.text : '')).join('|');
}

/** Wait until a condition holds. */
export async function until(holds: () => unknown, what = 'condition'): Promise<void> {
  const deadline = Date.now() + 8_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what} (${holds})`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}

/** Wait until a chat's response has ended. */
export async function untilIdle(chat: AbstractChat<UIMessage>): Promise<void> {
  await until(() => chat.status === 'ready' || chat.status === 'error', 'an idle chat');
}
