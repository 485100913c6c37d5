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

/** Return the text of the open or the last answer. */
export function answerOf(chat: AbstractChat<UIMessage>): string {
  const { lastMessage } = chat;
  return lastMessage?.role === 'assistant' ? textOf(lastMessage).replaceAll('|', '') : '';
}

/**
 * `fetch` of all tabs of one browser over HTTP/1.1: six connections, each in use until its response
 * has been read or aborted. `most` is the largest number in use.
 */
export function sixConnections() {
  const state = { open: 0, most: 0, waited: 0 };
  const waiting: (() => void)[] = [];
  const release = () => {
    state.open -= 1;
    waiting.shift()?.();
  };
  const limited: typeof fetch = async (input, init) => {
    if (state.open >= 6) {
      state.waited += 1;
      await new Promise<void>(next => waiting.push(next));
    }
    state.open += 1;
    state.most = Math.max(state.most, state.open);
    let open = true;
    const close = () => {
      if (open) release();
      open = false;
    };
    init?.signal?.addEventListener('abort', close);
    try {
      const response = await fetch(input, init);
      const [body, watched] = response.body?.tee() ?? [null, null];
      const reader = watched?.getReader();
      const drain = async () => {
        while (reader !== undefined && !(await reader.read()).done);
      };
      void drain().then(close, close);
      return new Response(body, response);
    } catch (error) {
      close();
      throw error;
    }
  };
  return { fetch: limited, state };
}

/** Wait until a condition holds. */
export async function until(holds: () => unknown, what = 'condition'): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what} (${holds})`);
    await new Promise(resolve => setTimeout(resolve, 2));
  }
}

/** Wait until a chat's response has ended. */
export async function untilIdle(chat: AbstractChat<UIMessage>): Promise<void> {
  await until(() => chat.status === 'ready' || chat.status === 'error', 'an idle chat');
}
