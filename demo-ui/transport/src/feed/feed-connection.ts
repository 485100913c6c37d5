import { ConnectionLost, isAbortError, type Reason, reasonOf, resetOf } from '../errors.js';
import { checkEventStream, linked, readEvents, request } from '../net/connection.js';
import type { Followed, Prepared } from '../net/endpoint.js';
import { isOffline, onWake } from '../net/page.js';
import { pause, waitBefore, WORKED_MS } from '../net/retry.js';

/** One event of a session's feed. `data` is JSON. */
export interface FeedEvent {
  chatId: string;
  event: string;
  /** The reader's position after it; `null` if it is not in the log. */
  position: string | null;
  data: string;
}

/** The state of a feed. `error`: why the gateway refuses it, if it does. */
export interface FeedState {
  connection: 'live' | 'reconnecting' | 'offline';
  /** Since when, in milliseconds since 1970. */
  since: number;
  error: Reason | undefined;
}

/** The wait after a refusal that a retry will hardly change, such as an expired token. */
export const REFUSED_WAIT_MS = 30_000;

/** The event that ends a feed whose token has expired. */
const CLOSED = 'closed';
const CLOSED_WAIT_MS = 250;

/** Another number of tabs takes a reconnection. This wait joins those that open together. */
const RECOUNT_MS = 2_000;

/** What a feed needs of an endpoint: nothing that depends on the type of its messages. */
export interface FeedGateway {
  readonly fetch: typeof globalThis.fetch;
  follow(wanted: Iterable<[string, Followed]>): Promise<Prepared>;
}

interface Told {
  event(event: FeedEvent): void;
  state(state: FeedState): void;
  /** Something has arrived: the connection is alive. */
  beat(): void;
}

/**
 * The feeds of any number of sessions over one connection, which is reopened whenever it breaks.
 *
 * Each session continues from its position, so that no event is missed or repeated. Adding a
 * session takes one reconnection, and another number of its tabs takes another.
 */
export class FeedConnection {
  state: FeedState = { connection: 'reconnecting', since: Date.now(), error: undefined };
  readonly #followed = new Map<string, Followed>();
  #recount: ReturnType<typeof setTimeout> | undefined;
  readonly #quit = new AbortController();
  #again = new AbortController();
  #running = false;
  #wake = () => {};

  readonly #gateway: FeedGateway;
  readonly #told: Told;

  constructor(gateway: FeedGateway, told: Told) {
    this.#gateway = gateway;
    this.#told = told;
  }

  has(chatId: string): boolean {
    return this.#followed.has(chatId);
  }

  /** Return a session's position; `null` before its snapshot, `undefined` if it is not followed. */
  position(chatId: string): string | null | undefined {
    return this.#followed.get(chatId)?.position;
  }

  /** Follow these sessions: new ones from their position, or with a snapshot first if it is `null`. */
  follow(wanted: ReadonlyMap<string, Followed>): void {
    let changed = false;
    for (const chatId of this.#followed.keys()) {
      if (!wanted.has(chatId)) changed = this.#followed.delete(chatId);
    }
    for (const [chatId, { position, tabs }] of wanted) {
      const followed = this.#followed.get(chatId);
      if (followed === undefined) {
        this.#followed.set(chatId, { position, tabs });
        changed = true;
      } else if (followed.tabs !== tabs) {
        followed.tabs = tabs;
        this.#recount ??= setTimeout(() => this.#again.abort(), RECOUNT_MS);
      }
    }
    if (!changed) return;
    this.#again.abort();
    this.#wake();
    if (!this.#running) void this.#run();
  }

  close(): void {
    this.#quit.abort();
    this.#again.abort();
    this.#wake();
  }

  async #run(): Promise<void> {
    this.#running = true;
    const forget = onWake(() => this.#change(this.state.connection, this.state.error));
    let failures = 0;
    while (!this.#quit.signal.aborted) {
      clearTimeout(this.#recount);
      this.#recount = undefined;
      this.#again = new AbortController();
      const { signal } = this.#again;
      if (this.#followed.size === 0) {
        await new Promise<void>(done => (this.#wake = done));
        continue;
      }
      let refused: Reason | undefined;
      let wait = 0;
      let liveAt: number | undefined;
      let closed = false;
      try {
        closed = await this.#read(signal, () => (liveAt ??= Date.now()));
      } catch (error) {
        if (error instanceof ConnectionLost) wait = error.retryAfterMs;
        else if (!isAbortError(error)) {
          refused = reasonOf(error);
          wait = resetOf(error) || REFUSED_WAIT_MS;
        }
      }
      if (liveAt !== undefined && Date.now() - liveAt >= WORKED_MS) failures = 0;
      if (signal.aborted) continue;
      failures += 1;
      if (closed) {
        // No failure: the next attempt asks the application for its headers again.
        await pause(Math.max(CLOSED_WAIT_MS, waitBefore(failures)), signal);
        continue;
      }
      this.#change('reconnecting', refused);
      await pause(Math.max(wait, waitBefore(failures)), signal);
    }
    forget();
  }

  /** Returns whether the gateway has closed the feed because its token has expired. */
  async #read(signal: AbortSignal, live: () => void): Promise<boolean> {
    const prepared = await this.#gateway.follow(this.#followed);
    const abort = linked(signal);
    const response = await request(this.#gateway.fetch, prepared, abort);
    checkEventStream(response, abort);
    const events = readEvents(response, abort, () => {
      live();
      this.#change('live');
      this.#told.beat();
    });
    for await (const { event, id = '', data } of events) {
      if (event === CLOSED) return true;
      const at = id.lastIndexOf('@');
      const chatId = id.slice(0, at);
      const followed = this.#followed.get(chatId);
      if (followed === undefined) continue;
      const position = id.slice(at + 1) || null;
      followed.position = position ?? followed.position;
      this.#told.event({ chatId, event, position, data });
    }
    return false;
  }

  #change(wanted: FeedState['connection'], error?: Reason): void {
    const connection = wanted === 'live' ? wanted : isOffline() ? 'offline' : 'reconnecting';
    const same = connection === this.state.connection;
    if (same && error?.code === this.state.error?.code) return;
    this.state = { connection, since: same ? this.state.since : Date.now(), error };
    this.#told.state(this.state);
  }
}
