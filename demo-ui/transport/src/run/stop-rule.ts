import { chatsOnPage } from './on-page.js';

/**
 * Decides which aborts are stops.
 *
 * A chat aborts for three reasons that its signal does not tell apart: somebody pressed stop;
 * a second resume replaces the first (ai 5, 6 and 7); or, with `useChat` of ai 7, the component
 * goes away (unmount, another id, `<Activity hidden>`, StrictMode's double mount). Only the
 * first may end the run. So an abort is a stop unless
 *
 * - the chat enters `reconnectToStream` before the microtask that the abort queues has run: a
 *   replacement aborts and resumes in the same turn; or
 * - it comes within a teardown window of the chat, which `useSession` opens before the effects
 *   of `useChat` are cleaned up, and closes a macrotask after its own are; or
 * - assistant-ui removes the chat from the page before that microtask has run.
 */
export class StopRule {
  readonly #windows = new Set<{ chatId: string }>();
  /** Chats that have resumed since their last abort. */
  readonly #resumed = new Set<string>();

  /** Record that the chat resumes. */
  resumed(chatId: string): void {
    this.#resumed.add(chatId);
  }

  /** Treat no abort of this chat as a stop until the returned function is called. */
  openTeardown(chatId: string): () => void {
    const window = { chatId };
    this.#windows.add(window);
    return () => {
      this.#windows.delete(window);
    };
  }

  /** Handle the abort of a response of this chat. Calls `stop` if it is one. */
  aborted(chatId: string, stop: () => void): void {
    if ([...this.#windows].some(window => window.chatId === chatId)) return;
    this.#resumed.delete(chatId);
    const isGone = chatsOnPage.watch(chatId);
    queueMicrotask(() => {
      if (!this.#resumed.has(chatId) && !isGone()) stop();
    });
  }
}
