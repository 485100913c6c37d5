/** What assistant-ui's `useChatRuntime` asks a transport for, to have its chats resume. */
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
 * It reads from its transport's storage whether a chat has something to resume, and subscribes to it
 * for as long as the chat is on the page. So we hear of both: a chat that comes is to ask what runs,
 * once each time; and what it aborts as it goes is no stop, for it unsubscribes in the same go.
 *
 * One for the page: applications make their transport in a render.
 */
class ChatsOnPage {
  readonly #chats = new Map<string, Chat>();
  readonly adapter: ResumableAdapter = {
    storage: {
      // It resumes each id once: the next time it comes it has to be another one.
      getStreamId: chatId =>
        chatId === undefined ? null : `${chatId}#${this.#chats.get(chatId)?.left ?? 0}`,
      setStreamId: () => {},
      clear: () => {},
      subscribe: (_, chatId) => (chatId === undefined ? () => {} : this.#come(chatId)),
    },
    resumeApi: '', // ours to know
  };

  /** Returns what tells whether the chat has gone since, or was not there at all. */
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
