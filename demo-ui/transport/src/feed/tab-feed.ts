import { whileHere } from '../net/departure.js';
import type { Followed } from '../net/endpoint.js';
import { isVisible, onWake } from '../net/page.js';
import { locksOfPage } from '../net/slots.js';
import { FeedConnection, type FeedEvent, type FeedGateway, type FeedState } from './feed-connection.js';
import { Leadership } from './leadership.js';
import { isCoveredBy } from './session-model.js';

/** One chat that this tab follows; `position` is null before it has a snapshot. */
export interface Follower {
  readonly chatId: string;
  position(): string | null;
  receive(event: FeedEvent): void;
  /** The feed has passed events of this chat already: request a snapshot, then continue. */
  catchUp(): void;
  changed(state: FeedState): void;
}

/** A gateway whose feed tabs share if their address of it is the same. */
interface FeedEndpoint extends FeedGateway {
  readonly api: string;
}

/** Followed chats, each with the tab's position. */
type Chats = [chatId: string, position: string | null][];

type Message =
  | { type: 'hello'; chats?: Chats }
  | { type: 'follow'; tab: string; chats: Chats }
  | { type: 'bye'; tab: string }
  | { type: 'known'; tab: string; chatId: string; position?: string | null }
  | { type: 'event'; event: FeedEvent }
  | { type: 'state'; state: FeedState }
  | { type: 'beat' };

/** Tabs repeat what they follow. Browsers slow the timers of hidden tabs to one a minute. */
const REPEAT_MS = 30_000;
const TAB_GONE_MS = 200_000;

/** The leader relays the gateway's heartbeat, every 15 s. If it is silent for longer, it is frozen. */
const LEADER_SILENT_MS = 40_000;
const BEAT_MS = 5_000;

const NOT_YET: FeedState = { connection: 'reconnecting', since: 0, error: undefined };

/**
 * The feed of all tabs of a browser that talk to one gateway. One tab, the leader, holds the
 * connection and relays the events over a BroadcastChannel.
 *
 * A Web Lock elects the leader. When its tab closes or crashes, the browser gives the lock to the
 * next tab, which continues from the positions of the others. A visible tab that hears nothing
 * steals the lock: some browsers freeze hidden tabs.
 *
 * Without Web Locks or a BroadcastChannel a tab leads itself alone: on plain HTTP, in sandboxed
 * frames, with cookies blocked.
 */
export class TabFeed {
  static readonly #open = new Map<string, TabFeed>();

  /** Return the feed of an endpoint. A page has one for each address and scope. */
  static of(endpoint: FeedEndpoint, scope: string): TabFeed {
    const name = `midstream:${endpoint.api}:${scope}`;
    let feed = TabFeed.#open.get(name);
    if (feed === undefined) TabFeed.#open.set(name, (feed = new TabFeed(name, endpoint)));
    return feed;
  }

  #tab = '';
  readonly #followers = new Set<Follower>();
  readonly #tabs = new Map<string, { chats: Map<string, string | null>; seenAt: number }>();
  #channel: BroadcastChannel | undefined;
  #connection: FeedConnection | undefined;
  #leadership: Leadership | undefined;
  #leave = () => {};
  #state = NOT_YET;
  #heardAt = Date.now();
  #beatAt = 0;

  readonly #name: string;
  readonly #endpoint: FeedEndpoint;

  constructor(
    name: string,
    endpoint: FeedEndpoint,
  ) {
    this.#name = name;
    this.#endpoint = endpoint;
  }

  /** Follow a chat. Returns a function that stops. */
  join(follower: Follower): () => void {
    if (this.#followers.size === 0) this.#leave = whileHere(isBack => this.#start(isBack));
    this.#followers.add(follower);
    if (this.#state !== NOT_YET) follower.changed(this.#state);
    if (this.#connection?.has(follower.chatId)) follower.catchUp();
    this.#announce();
    return () => {
      if (!this.#followers.delete(follower)) return;
      if (this.#followers.size === 0) this.#leave();
      else this.#announce();
    };
  }

  /** @param isBack - the page was away, and has missed what other tabs were told. */
  #start(isBack: boolean): () => void {
    // A page that is back is a new tab: what the leader knows of the old one no longer holds.
    this.#tab = Math.random().toString(36).slice(2);
    this.#channel = this.#openChannel();
    if (this.#channel === undefined) this.#lead();
    else {
      this.#leadership = new Leadership(this.#name, {
        lead: () => this.#lead(),
        resign: () => {
          this.#resign();
          this.#announce();
        },
        alone: () => {
          this.#channel?.close();
          this.#channel = undefined;
          this.#lead();
        },
      });
    }
    const repeat = setInterval(() => this.#look(), REPEAT_MS);
    const forget = onWake(() => this.#look());
    if (isBack) {
      for (const follower of this.#followers) follower.catchUp();
      this.#announce();
    }
    return () => {
      this.#say({ type: 'bye', tab: this.#tab });
      clearInterval(repeat);
      forget();
      this.#resign();
      this.#leadership?.leave();
      this.#channel?.close();
      this.#channel = undefined;
      this.#change({ ...NOT_YET, since: Date.now() });
      this.#state = NOT_YET;
    };
  }

  #openChannel(): BroadcastChannel | undefined {
    if (locksOfPage() === undefined) return undefined;
    try {
      const channel = new BroadcastChannel(this.#name);
      // In Node, where the tests run, a channel would keep the process alive.
      (channel as { unref?: () => void }).unref?.();
      channel.onmessage = ({ data }) => this.#hear(data as Message);
      return channel;
    } catch {
      return undefined; // unknown to this browser, or refused to this page
    }
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
    this.#say({ type: 'hello', chats: [...this.#own()] });
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
        // A new leader: it relays no event before its positions.
        for (const [chatId, position] of message.chats ?? []) this.#compare(chatId, position);
        return this.#announce();
      case 'follow':
        return this.#serve(message.tab, new Map(message.chats));
      case 'bye':
        this.#tabs.delete(message.tab);
        return this.#follow();
      case 'known':
        if (message.tab === this.#tab) this.#compare(message.chatId, message.position, true);
        return;
      case 'event':
        return this.#deliver(message.event);
      case 'state':
        return this.#change(message.state);
      case 'beat':
    }
  }

  /** Take another tab's list of the chats that it follows. */
  #serve(tab: string, chats: Map<string, string | null>): void {
    if (this.#connection === undefined) return;
    const isNew = !this.#tabs.has(tab);
    this.#tabs.set(tab, { chats, seenAt: Date.now() });
    for (const [chatId, at] of chats) {
      const position = this.#connection.position(chatId);
      if (position !== undefined && isBehind(at, position)) {
        this.#say({ type: 'known', tab, chatId, position });
      }
    }
    this.#follow();
    if (isNew) this.#say({ type: 'state', state: this.#connection.state });
  }

  /** As the leader: follow the chats of all tabs. */
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

  /** Tell the leader what this tab follows; as the leader, follow it. */
  #announce(): void {
    if (this.#connection !== undefined) return this.#follow();
    this.#say({ type: 'follow', tab: this.#tab, chats: [...this.#own()] });
  }

  /** Return the chats that this tab follows. A chat that is on the page twice counts once. */
  #own(): Map<string, string | null> {
    const chats = new Map<string, string | null>();
    for (const follower of this.#followers) {
      const { chatId } = follower;
      chats.set(chatId, chats.get(chatId) ?? follower.position());
    }
    return chats;
  }

  /** Request a snapshot where the leader is further: it relays no event twice. */
  #compare(chatId: string, position?: string | null, known = false): void {
    for (const follower of this.#of(chatId)) {
      const at = follower.position();
      if (at === null ? known : isBehind(at, position)) follower.catchUp();
    }
  }

  #look(): void {
    const now = Date.now();
    if (this.#connection === undefined) {
      this.#announce();
      if (isVisible() && now - this.#heardAt > LEADER_SILENT_MS) {
        this.#heardAt = now;
        this.#leadership?.steal();
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

  #say(message: Message): void {
    this.#channel?.postMessage(message);
  }
}

/** Return whether a tab at position `at` has missed events up to another position. */
function isBehind(at: string | null, position: string | null | undefined): boolean {
  return at === null || (Boolean(position) && !isCoveredBy(position as string, at));
}
