import type { Endpoint } from './endpoint.js';
import { FeedConnection, type FeedEvent, type FeedState } from './feed.js';
import { onWake } from './retry.js';

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
  private static readonly open = new Map<string, TabFeed>();

  /** The feed for an endpoint, shared by all who ask in this page. */
  static of(endpoint: Endpoint<never>, scope: string): TabFeed {
    const name = `midstream:${endpoint.api}:${scope}`;
    let feed = TabFeed.open.get(name);
    if (feed === undefined) TabFeed.open.set(name, (feed = new TabFeed(name, endpoint)));
    return feed;
  }

  private readonly tab = Math.random().toString(36).slice(2);
  private readonly followers = new Set<Follower>();
  private readonly tabs = new Map<string, { chats: Map<string, string | null>; seenAt: number }>();
  private end = () => {};
  private channel: BroadcastChannel | undefined;
  private connection: FeedConnection | undefined;
  private release = () => {};
  private waiting = new AbortController();
  private state = NOT_YET;
  private heardAt = Date.now();
  private beatAt = 0;

  constructor(
    private readonly name: string,
    private readonly endpoint: Endpoint<never>,
  ) {}

  /** Follow a chat. Returns what ends it. */
  join(follower: Follower): () => void {
    if (this.followers.size === 0) this.start();
    this.followers.add(follower);
    if (this.state !== NOT_YET) follower.changed(this.state);
    if (this.connection?.has(follower.chatId)) follower.catchUp();
    this.announce();
    return () => {
      if (!this.followers.delete(follower)) return;
      if (this.followers.size === 0) this.stop();
      else this.announce();
    };
  }

  private start(): void {
    this.waiting = new AbortController();
    const locks = typeof navigator === 'undefined' ? undefined : navigator.locks;
    if (locks === undefined || typeof BroadcastChannel === 'undefined') return this.lead();
    this.channel = new BroadcastChannel(this.name);
    // In Node, for tests, a channel would keep the process alive.
    (this.channel as { unref?: () => void }).unref?.();
    this.channel.onmessage = ({ data }) => this.hear(data as Message);
    this.queue(locks, {});
    const repeat = setInterval(() => this.look(locks), REPEAT_MS);
    const forget = onWake(() => this.look(locks));
    const bye = () => this.say({ type: 'bye', tab: this.tab });
    if (typeof addEventListener === 'function') addEventListener('pagehide', bye);
    this.end = () => {
      clearInterval(repeat);
      forget();
      if (typeof removeEventListener === 'function') removeEventListener('pagehide', bye);
    };
  }

  private stop(): void {
    this.say({ type: 'bye', tab: this.tab });
    this.end();
    this.waiting.abort();
    this.resign();
    this.release();
    this.channel?.close();
    this.channel = undefined;
    this.state = NOT_YET;
  }

  /** Wait for the lock, and hold it as long as this page follows anything. */
  private queue(locks: LockManager, how: { steal?: boolean }): void {
    const { signal } = this.waiting;
    const options = how.steal === true ? { steal: true } : { signal };
    locks
      .request(this.name, options, () => {
        if (signal.aborted) return;
        this.lead();
        return new Promise<void>(done => (this.release = done));
      })
      .catch(() => {
        // Robbed by a tab that thought us dead; or we have stopped waiting.
        if (signal.aborted) return;
        this.resign();
        this.queue(locks, {});
        this.announce();
      });
  }

  private lead(): void {
    this.connection = new FeedConnection(this.endpoint, {
      event: event => {
        this.deliver(event);
        this.say({ type: 'event', event });
      },
      state: state => {
        this.change(state);
        this.say({ type: 'state', state });
      },
      beat: () => {
        if (Date.now() - this.beatAt < BEAT_MS) return;
        this.beatAt = Date.now();
        this.say({ type: 'beat' });
      },
    });
    this.tabs.clear();
    this.follow();
    this.say({ type: 'hello' });
  }

  private resign(): void {
    this.connection?.close();
    this.connection = undefined;
    this.heardAt = Date.now();
  }

  private hear(message: Message): void {
    this.heardAt = Date.now();
    switch (message.type) {
      case 'hello':
        return this.announce();
      case 'follow':
        return this.serve(message.tab, new Map(message.chats));
      case 'bye':
        this.tabs.delete(message.tab);
        return this.follow();
      case 'known':
        if (message.tab !== this.tab) return;
        for (const follower of this.of(message.chatId)) {
          if (follower.position() === null) follower.catchUp();
        }
        return;
      case 'event':
        return this.deliver(message.event);
      case 'state':
        return this.change(message.state);
      case 'beat':
    }
  }

  /** Another tab says what it follows. */
  private serve(tab: string, chats: Map<string, string | null>): void {
    if (this.connection === undefined) return;
    const isNew = !this.tabs.has(tab);
    this.tabs.set(tab, { chats, seenAt: Date.now() });
    for (const [chatId, position] of chats) {
      if (position === null && this.connection.has(chatId)) {
        this.say({ type: 'known', tab, chatId });
      }
    }
    this.follow();
    if (isNew) this.say({ type: 'state', state: this.connection.state });
  }

  /** As the leader: follow what all tabs want. */
  private follow(): void {
    if (this.connection === undefined) return;
    const wanted = new Map<string, string | null>();
    const want = (chatId: string, position: string | null) => {
      wanted.set(chatId, wanted.get(chatId) ?? position);
    };
    for (const follower of this.followers) want(follower.chatId, follower.position());
    for (const { chats } of this.tabs.values()) {
      for (const [chatId, position] of chats) want(chatId, position);
    }
    this.connection.follow(wanted);
  }

  /** Say what this tab follows, or do it. */
  private announce(): void {
    if (this.connection !== undefined) return this.follow();
    const chats = new Map<string, string | null>();
    for (const follower of this.followers) chats.set(follower.chatId, follower.position());
    this.say({ type: 'follow', tab: this.tab, chats: [...chats] });
  }

  private look(locks: LockManager): void {
    const now = Date.now();
    if (this.connection === undefined) {
      this.announce();
      const visible = typeof document === 'undefined' || document.visibilityState === 'visible';
      if (visible && now - this.heardAt > LEADER_SILENT_MS) {
        this.heardAt = now;
        this.waiting.abort();
        this.waiting = new AbortController();
        this.queue(locks, { steal: true });
      }
      return;
    }
    for (const [tab, { seenAt }] of this.tabs) {
      if (now - seenAt > TAB_GONE_MS) this.tabs.delete(tab);
    }
    this.follow();
  }

  private deliver(event: FeedEvent): void {
    for (const follower of this.of(event.chatId)) follower.receive(event);
  }

  private change(state: FeedState): void {
    this.state = state;
    for (const follower of [...this.followers]) follower.changed(state);
  }

  private of(chatId: string): Follower[] {
    return [...this.followers].filter(follower => follower.chatId === chatId);
  }

  private say(message: Message): void {
    this.channel?.postMessage(message);
  }
}
