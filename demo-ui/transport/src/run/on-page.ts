/** The interface by which assistant-ui's `useChatRuntime` resumes its chats. */
export interface ResumableAdapter {
  storage: {
    getStreamId(chatId?: string): string | null;
    setStreamId(): void;
    clear(): void;
    subscribe(listener: () => void, chatId?: string): () => void;
  };
  resumeApi: string;
}

interface Chat {
  here: number;
  left: number;
}

/**
 * The chats that assistant-ui has on this page.
 *
 * assistant-ui reads from its transport's storage whether a chat has a run to resume, and subscribes
 * to it while the chat is on the page. So a chat that appears resumes, once each time. An abort by a
 * chat that leaves is no stop: the chat unsubscribes in the same turn.
 *
 * There is one for the page, because applications create their transport in a render.
 */
class ChatsOnPage {
  readonly #chats = new Map<string, Chat>();
  readonly adapter: ResumableAdapter = {
    storage: {
      // assistant-ui resumes each id once: a chat that returns needs a new one.
      getStreamId: chatId =>
        chatId === undefined ? null : `${chatId}#${this.#chats.get(chatId)?.left ?? 0}`,
      setStreamId: () => {},
      clear: () => {},
      subscribe: (_, chatId) => (chatId === undefined ? () => {} : this.#come(chatId)),
    },
    resumeApi: '', // the transport has its own
  };

  /** Return a function that tells whether the chat has left since, or had left before. */
  watch(chatId: string): () => boolean {
    const chat = this.#chats.get(chatId);
    const before = chat?.left;
    return () => chat !== undefined && (chat.here === 0 || chat.left !== before);
  }

  #come(chatId: string): () => void {
    const chat = this.#chats.get(chatId) ?? { here: 0, left: 0 };
    this.#chats.set(chatId, chat);
    chat.here += 1;
    return () => {
      chat.here -= 1;
      chat.left += 1;
    };
  }
}

export const chatsOnPage = new ChatsOnPage();
