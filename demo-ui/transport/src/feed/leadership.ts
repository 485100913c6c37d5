import { pause } from '../net/retry.js';
import { locksOfPage } from '../net/slots.js';

/** A tab that loses the lock sooner has hardly led: others steal it after 40 s of silence only. */
const LED_MS = 40_000;

/** Losses in a row, without having led, after which a tab no longer asks for the lock. */
const MAX_ROBBED = 3;
const ROBBED_WAIT_MS = 1_000;

interface Told {
  /** This tab leads from now on. */
  lead(): void;
  /** This tab no longer leads, and waits for the lock. */
  resign(): void;
  /** There is no lock to be had: this tab leads itself alone. */
  alone(): void;
}

/**
 * Elects the leader of a browser's tabs. A tab waits for a Web Lock, and holds it until it leaves.
 * When that tab closes or crashes, the browser gives the lock to the next one.
 *
 * A lock may be refused: in sandboxed frames, and in Chromium where cookies are blocked. WebKit
 * takes a page's locks away when it unloads the page. In both cases the tab does not ask again.
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

  /** Take the lock from a tab that seems dead. */
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
      // A request takes `steal` or `signal`, not both.
      await locks.request(this.#name, steal ? { steal } : { signal }, () => {
        if (signal.aborted) return;
        ledAt = Date.now();
        this.#told.lead();
        return new Promise<void>(done => (this.#release = done));
      });
    } catch {
      // This tab has left, or another one has stolen the lock, or it was refused.
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
