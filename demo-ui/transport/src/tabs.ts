import type { Endpoint, Followed } from './endpoint.js';
import { locksOfPage } from './slots.js';
import { FeedConnection, type FeedEvent, type FeedState } from './feed.js';
import { hear, isVisible, onWake } from './retry.js';

/** What one tab wants of the shared feed; `position` is null before it has a snapshot. */
export interface Follower {
  readonly chatId: string;
  position(): string | null;
  receive(event: FeedEvent): void;
  /** The feed was live for this chat before: get the snapshot yourself, then go on. */
  catchUp(): void;
  changed(state: FeedState): void;
}

type Message =
  | { type: 'hello' }
  | { type: 'follow'; tab: string; chats: [string, string | null][] }
  | { type: 'bye'; tab: string }
  | { type: 'known'; tab: string; chatId: string }
  | { type: 'event'; event: FeedEvent }
  | { type: 'state'; state: FeedState }
  | { type: 'beat' };

/** Tabs say again what they follow; hidden ones are slowed to once a minute by browsers. */
const REPEAT_MS = 30_000;
const TAB_GONE_MS = 200_000;

/** The gateway's heartbeat is relayed: 15 s. A leader that is silent for longer was frozen. */
const LEADER_SILENT_MS = 40_000;
const BEAT_MS = 5_000;

const NOT_YET: FeedState = { connection: 'reconnecting', since: 0, error: undefined };

/**
 * The feed of all tabs of a browser that talk to one gateway: one of them, the leader, holds
 * the connection and relays what comes. A Web Lock makes the leader; when its tab closes or
 * crashes, the browser gives the lock to the next, which goes on from where the others stand.
 * A visible tab that hears nothing takes the lock over: some browsers freeze hidden tabs.
 *
 * Without Web Locks or BroadcastChannel (plain HTTP, old browsers) each tab is its own leader.
 */
export class TabFeed {
  static readonly #open = new Map<string, TabFeed>();

  /** The feed for an endpoint, shared by all who ask in this page. */
  static of(endpoint: Endpoint<never>, scope: string): TabFeed {
    const name = `midstream:${endpoint.api}:${scope}`;
    let feed = TabFeed.#open.get(name);
    if (feed === undefined) TabFeed.#open.set(name, (feed = new TabFeed(name, endpoint)));
    return feed;
  }

  readonly #tab = Math.random().toString(36).slice(2);
  readonly #followers = new Set<Follower>();
  readonly #tabs = new Map<string, { chats: Map<string, string | null>; seenAt: number }>();
  #end = () => {};
  #channel: BroadcastChannel | undefined;
  #connection: FeedConnection | undefined;
  #release = () => {};
  #waiting = new AbortController();
  #state = NOT_YET;
  #heardAt = Date.now();
  #beatAt = 0;

  readonly #name: string;
  readonly #endpoint: Endpoint<never>;

  constructor(
    name: string,
    endpoint: Endpoint<never>,
  ) {
    this.#name = name;
    this.#endpoint = endpoint;
  }

  /** Follow a chat. Returns what ends it. */
  join(follower: Follower): () => void {
    if (this.#followers.size === 0) this.#start();
    this.#followers.add(follower);
    if (this.#state !== NOT_YET) follower.changed(this.#state);
    if (this.#connection?.has(follower.chatId)) follower.catchUp();
    this.#announce();
    return () => {
      if (!this.#followers.delete(follower)) return;
      if (this.#followers.size === 0) this.#stop();
      else this.#announce();
    };
  }

  #start(): void {
    this.#waiting = new AbortController();
    const locks = locksOfPage();
    if (locks === undefined || typeof BroadcastChannel === 'undefined') return this.#lead();
    this.#channel = new BroadcastChannel(this.#name);
    // In Node, for tests, a channel would keep the process alive.
    (this.#channel as { unref?: () => void }).unref?.();
    this.#channel.onmessage = ({ data }) => this.#hear(data as Message);
    this.#queue(locks);
    const repeat = setInterval(() => this.#look(locks), REPEAT_MS);
    const forget = onWake(() => this.#look(locks));
    const over = new AbortController();
    hear('pagehide', () => this.#bye(), over.signal);
    this.#end = () => {
      clearInterval(repeat);
      forget();
      over.abort();
    };
  }

  #stop(): void {
    this.#bye();
    this.#end();
    this.#waiting.abort();
    this.#resign();
    this.#release();
    this.#channel?.close();
    this.#channel = undefined;
    this.#state = NOT_YET;
  }

  /** Wait for the lock, and hold it as long as this page follows anything. */
  #queue(locks: LockManager, steal = false): void {
    const { signal } = this.#waiting;
    // A request takes one or the other.
    const options = steal ? { steal } : { signal };
    locks
      .request(this.#name, options, () => {
        if (signal.aborted) return;
        this.#lead();
        return new Promise<void>(done => (this.#release = done));
      })
      .catch(() => {
        // Robbed by a tab that thought us dead; or we have stopped waiting.
        if (signal.aborted) return;
        this.#resign();
        this.#queue(locks);
        this.#announce();
      });
  }

  #lead(): void {
    this.#connection = new FeedConnection(this.#endpoint, {
      event: event => {
        this.#deliver(event);
        this.#say({ type: 'event', event });
      },
      state: state => {
        this.#change(state);
        this.#say({ type: 'state', state });
      },
      beat: () => {
        if (Date.now() - this.#beatAt < BEAT_MS) return;
        this.#beatAt = Date.now();
        this.#say({ type: 'beat' });
      },
    });
    this.#tabs.clear();
    this.#follow();
    this.#say({ type: 'hello' });
  }

  #resign(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#heardAt = Date.now();
  }

  #hear(message: Message): void {
    this.#heardAt = Date.now();
    switch (message.type) {
      case 'hello':
        return this.#announce();
      case 'follow':
        return this.#serve(message.tab, new Map(message.chats));
      case 'bye':
        this.#tabs.delete(message.tab);
        return this.#follow();
      case 'known':
        if (message.tab !== this.#tab) return;
        for (const follower of this.#of(message.chatId)) {
          if (follower.position() === null) follower.catchUp();
        }
        return;
      case 'event':
        return this.#deliver(message.event);
      case 'state':
        return this.#change(message.state);
      case 'beat':
    }
  }

  /** Another tab says what it follows. */
  #serve(tab: string, chats: Map<string, string | null>): void {
    if (this.#connection === undefined) return;
    const isNew = !this.#tabs.has(tab);
    this.#tabs.set(tab, { chats, seenAt: Date.now() });
    for (const [chatId, position] of chats) {
      if (position === null && this.#connection.has(chatId)) {
        this.#say({ type: 'known', tab, chatId });
      }
    }
    this.#follow();
    if (isNew) this.#say({ type: 'state', state: this.#connection.state });
  }

  /** As the leader: follow what all tabs want. */
  #follow(): void {
    if (this.#connection === undefined) return;
    const wanted = new Map<string, Followed>();
    for (const chats of [this.#own(), ...[...this.#tabs.values()].map(({ chats }) => chats)]) {
      for (const [chatId, position] of chats) {
        const { position: known = null, tabs = 0 } = wanted.get(chatId) ?? {};
        wanted.set(chatId, { position: known ?? position, tabs: tabs + 1 });
      }
    }
    this.#connection.follow(wanted);
  }

  /** Say what this tab follows, or do it. */
  #announce(): void {
    if (this.#connection !== undefined) return this.#follow();
    this.#say({ type: 'follow', tab: this.#tab, chats: [...this.#own()] });
  }

  /** What this tab follows; a chat that is on the page twice is one. */
  #own(): Map<string, string | null> {
    const chats = new Map<string, string | null>();
    for (const follower of this.#followers) {
      const { chatId } = follower;
      chats.set(chatId, chats.get(chatId) ?? follower.position());
    }
    return chats;
  }

  #look(locks: LockManager): void {
    const now = Date.now();
    if (this.#connection === undefined) {
      this.#announce();
      if (isVisible() && now - this.#heardAt > LEADER_SILENT_MS) {
        this.#heardAt = now;
        this.#waiting.abort();
        this.#waiting = new AbortController();
        this.#queue(locks, true);
      }
      return;
    }
    for (const [tab, { seenAt }] of this.#tabs) {
      if (now - seenAt > TAB_GONE_MS) this.#tabs.delete(tab);
    }
    this.#follow();
  }

  #deliver(event: FeedEvent): void {
    for (const follower of this.#of(event.chatId)) follower.receive(event);
  }

  #change(state: FeedState): void {
    this.#state = state;
    for (const follower of [...this.#followers]) follower.changed(state);
  }

  #of(chatId: string): Follower[] {
    return [...this.#followers].filter(follower => follower.chatId === chatId);
  }

  #bye(): void {
    this.#say({ type: 'bye', tab: this.#tab });
  }

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }
}
