import { pause } from '../net/retry.js';
import { locksOfPage } from '../net/slots.js';

/** Who is robbed sooner was hardly leading: another tab needs 40 s of silence to try. */
const LED_MS = 40_000;

/** Robbed so often in a row without having led, a tab does not ask any more. */
const MAX_ROBBED = 3;
const ROBBED_WAIT_MS = 1_000;

interface Told {
  /** This tab leads from now on. */
  lead(): void;
  /** It does not any more, and waits for its turn. */
  resign(): void;
  /** No lock is to be had: it leads itself, and nobody else. */
  alone(): void;
}

/**
 * A tab's wish to lead all tabs of its browser: it waits for a Web Lock, and holds it until it
 * leaves. When a tab closes or crashes, the browser gives the lock to the next.
 *
 * A lock may be refused, as in sandboxed frames, and where cookies are blocked in Chromium; WebKit
 * takes those of a page away when it unloads it. Neither is asked for again.
 */
export class Leadership {
  #waiting = new AbortController();
  #release = () => {};
  #robbed = 0;

  readonly #name: string;
  readonly #told: Told;

  constructor(name: string, told: Told) {
    this.#name = name;
    this.#told = told;
    void this.#request(false);
  }

  /** Take the lead from a tab that is thought dead. */
  steal(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    void this.#request(true);
  }

  leave(): void {
    this.#waiting.abort();
    this.#release();
  }

  async #request(steal: boolean): Promise<void> {
    const { signal } = this.#waiting;
    let ledAt: number | undefined;
    try {
      const locks = locksOfPage() as LockManager;
      // A request takes one or the other.
      await locks.request(this.#name, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return;
        ledAt = Date.now();
        this.#told.lead();
        return new Promise<void>(done => (this.#release = done));
      });
    } catch {
      // Given up; or robbed by a tab that thought us dead; or refused.
      if (signal.aborted) return;
      if (ledAt === undefined) return this.#told.alone();
      this.#told.resign();
      this.#robbed = Date.now() - ledAt < LED_MS ? this.#robbed + 1 : 1;
      await pause(ROBBED_WAIT_MS, signal);
      if (signal.aborted) return;
      if (this.#robbed > MAX_ROBBED) return this.#told.alone();
      await this.#request(false);
    }
  }
}
