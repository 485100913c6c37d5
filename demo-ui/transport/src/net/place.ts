import type { UIMessage } from 'ai';

/**
 * Where the last message of a chat belongs: its parent, and the last message that was shown (the
 * head), `null` for none; or the chat's messages by their ids. Empty: at the end.
 */
export interface Place {
  parentId?: string | null;
  head?: string | null | undefined;
  messages?: readonly object[];
  onActive?: 'queue' | 'steer';
}

/** Return the place by parent and head. The head is `undefined` if it is not known. */
export function placeOf(messages: readonly UIMessage[], head: string | null | undefined): Place {
  const parentId = messages.at(-2)?.id ?? null;
  return parentId === null && head === undefined ? {} : { parentId, head };
}

/** Return the place for a gateway that lacks the parent: by ids, of which it takes the last it has. */
export function placeByIds({ parentId, head }: Place, messages: readonly UIMessage[]): Place {
  if (parentId === head) return {};
  const ids = messages.slice(0, -1).map(({ id, role }) => ({ id, role, parts: [] }));
  return { messages: [...ids, ...messages.slice(-1)] };
}
