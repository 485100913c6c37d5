/**
 * Which aborts are stops.
 *
 * A chat aborts for three reasons that its signal does not tell apart: somebody pressed stop;
 * a second resume replaces the first (ai 5, 6 and 7); or, with `useChat` of ai 7, the component
 * goes away (unmount, another id, `<Activity hidden>`, StrictMode's double mount). Only the
 * first may end the run. So an abort is a stop unless
 *
 * - the chat enters `reconnectToStream` before the microtask that the abort queues has run: a
 *   replacement aborts and asks again in one go; or
 * - it comes within a teardown window of the chat, which `useSession` opens before the effects
 *   of `useChat` are cleaned up, and closes a macrotask after its own are.
 */
export class StopRule {
  readonly #windows = new Map<string, number>();
  readonly #resumes = new Map<string, number>();

  /** The chat has asked to resume. */
  resumed(chatId: string): void {
    this.#resumes.set(chatId, this.#resumesOf(chatId) + 1);
  }

  /** Aborts of this chat are not stops until the returned function was called. */
  openTeardown(chatId: string): () => void {
    const count = (change: number) =>
      this.#windows.set(chatId, (this.#windows.get(chatId) ?? 0) + change);
    count(1);
    let open = 1;
    return () => {
      count(-open);
      open = 0;
    };
  }

  /** The signal of a response of this chat has just been aborted. */
  aborted(chatId: string, stop: () => void): void {
    if (this.#windows.get(chatId)) return;
    const resumes = this.#resumesOf(chatId);
    queueMicrotask(() => {
      if (this.#resumesOf(chatId) === resumes) stop();
    });
  }

  #resumesOf(chatId: string): number {
    return this.#resumes.get(chatId) ?? 0;
  }
}
