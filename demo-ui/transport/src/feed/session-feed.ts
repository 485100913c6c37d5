import type { UIMessage } from 'ai';

import { reasonOf } from '../errors.js';
import { requestJson } from '../net/connection.js';
import type { Endpoint } from '../net/endpoint.js';
import { pause, retry } from '../net/retry.js';
import { type FeedEvent, type FeedState, REFUSED_WAIT_MS } from './feed-connection.js';
import { type ChunksEvent, RunBuffer } from './run-buffer.js';
import { isCoveredBy, type RunInfo, SessionModel, type Snapshot } from './session-model.js';
import { type Follower, TabFeed } from './tab-feed.js';

/** How long to wait for the feed's snapshot before requesting one. */
const FEED_SILENT_MS = 5_000;

/** One session as this page knows it: a snapshot, and every event since. */
export class SessionFeed<MESSAGE extends UIMessage> implements Follower {
  readonly model = new SessionModel<MESSAGE>();
  readonly buffer = new RunBuffer();
  state: FeedState = { connection: 'reconnecting', since: Date.now(), error: undefined };
  loaded = false;
  #at: string | null = null;
  #early: FeedEvent[] = [];
  #leave = () => {};
  #loading: AbortController | undefined;

  readonly #endpoint: Endpoint<MESSAGE>;
  readonly #scope: string;
  readonly #told: () => void;

  constructor(
    readonly chatId: string,
    endpoint: Endpoint<MESSAGE>,
    scope: string,
    /** Called after every change; for `chunks`, if the newest one is of another type than before. */
    told: () => void,
  ) {
    this.#endpoint = endpoint;
    this.#scope = scope;
    this.#told = told;
  }

  start(): void {
    const feed = TabFeed.of(this.#endpoint, this.#scope);
    const leave = feed.join(this);
    // A proxy in between may hold the feed back until it ends.
    const timer = setTimeout(() => !this.loaded && this.catchUp(), FEED_SILENT_MS);
    this.#leave = () => {
      clearTimeout(timer);
      leave();
    };
  }

  stop(): void {
    this.#leave();
    this.#loading?.abort();
    this.#loading = undefined;
    this.loaded = false;
    this.#at = null;
    this.#early = [];
    this.buffer.reset(undefined);
  }

  position(): string | null {
    return this.#at;
  }

  changed(state: FeedState): void {
    this.state = state;
    this.#told();
  }

  receive(event: FeedEvent): void {
    if (event.event === 'snapshot') return this.#load(JSON.parse(event.data), event.position);
    if (!this.loaded || this.#loading !== undefined) {
      this.#early.push(event);
      return;
    }
    this.#take(event);
  }

  catchUp(): void {
    if (this.#loading !== undefined) return;
    this.#loading = new AbortController();
    void this.#fetchSnapshot(this.#loading.signal);
  }

  async #fetchSnapshot(signal: AbortSignal): Promise<void> {
    const get = async (): Promise<Snapshot<MESSAGE>> => {
      const prepared = await this.#endpoint.snapshot(this.chatId);
      return requestJson(this.#endpoint.fetch, prepared, signal);
    };
    let refused: FeedState | undefined;
    while (!signal.aborted) {
      try {
        const snapshot = await retry(get, signal, undefined, Number.POSITIVE_INFINITY);
        const { epoch, offset } = snapshot;
        if (signal.aborted) return;
        if (this.state === refused) this.state = { ...refused, error: undefined };
        return this.#load(snapshot, epoch && `${epoch}:${offset}`);
      } catch (error) {
        if (signal.aborted) return;
        this.changed((refused = { ...this.state, error: reasonOf(error) }));
        await pause(REFUSED_WAIT_MS, signal);
      }
    }
  }

  #load(snapshot: Snapshot<MESSAGE>, position: string | null): void {
    this.#loading?.abort();
    this.#loading = undefined;
    // Another tab has requested it, and this one is further already.
    const isOlder = this.loaded && position && isCoveredBy(position, this.#at);
    if (!isOlder) {
      this.model.load(snapshot);
      this.buffer.reset(this.model.openRun);
      this.#at = position ?? '';
      this.loaded = true;
    }
    const early = this.#early;
    this.#early = [];
    for (const event of early) this.receive(event);
    this.#told();
  }

  #take({ event, position, data }: FeedEvent): void {
    if (position !== null && isCoveredBy(position, this.#at)) return;
    const content = JSON.parse(data) as unknown;
    // An event that does not fit does not move the position, so that the snapshot counts as newer.
    if (event !== 'chunks' && !this.model.apply(event, content)) return this.catchUp();
    this.#at = position ?? this.#at;
    if (event === 'chunks') {
      const before = this.buffer.newest?.type;
      this.buffer.append(content as ChunksEvent);
      if (this.buffer.newest?.type !== before) this.#told();
      return;
    }
    if (event === 'run') this.buffer.update(content as RunInfo);
    this.#told();
  }
}
