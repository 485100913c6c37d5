import type { UIMessage } from 'ai';

/**
 * Where the last message of a chat belongs: what it follows, and what its person saw last, `null`
 * for nothing. Or, in their stead, the chat's messages by ids. Without a word: to the end.
 */
export interface Place {
  parentId?: string | null;
  head?: string | null | undefined;
  messages?: readonly object[];
}

/** @param head - the last message that was shown; `undefined` if that is not known. */
export function placeOf(messages: readonly UIMessage[], head: string | null | undefined): Place {
  const parentId = messages.at(-2)?.id ?? null;
  return parentId === null && head === undefined ? {} : { parentId, head };
}

/** The same for a gateway that does not have the parent: it looks which of them it has. */
export function placeByIds({ parentId, head }: Place, messages: readonly UIMessage[]): Place {
  if (parentId === head) return {};
  const ids = messages.slice(0, -1).map(({ id, role }) => ({ id, role, parts: [] }));
  return { messages: [...ids, ...messages.slice(-1)] };
}
