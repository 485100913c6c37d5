import type { UIMessage } from 'ai';

import type { MidstreamError } from '../errors.js';
import { pause } from '../net/retry.js';
import type { RunEvent } from './run-stream.js';

/** What responses can read from a chat's feed: the chunks of its newest run. */
export interface RunFeed {
  /** Return a mark of what the feed has. A state that is requested later is no older. */
  mark(): number;
  /**
   * Return whether the chunks of a run can be read here, from a sequence on.
   *
   * @param since - set if the sequence follows a state that was requested after this mark.
   */
  covers(runId: string, sequence: number, since?: number): boolean;
  /** Return the open run, if the feed has all its chunks and a resume needs nothing else. */
  whole(): string | undefined;
  /** Yield the chunks from a sequence on; throws `ConnectionLost` if the feed cannot continue. */
  tail(runId: string, sequence: number, since?: number): AsyncIterable<RunEvent>;
  /** Call back when any of this may have changed. */
  onChange(changed: () => void): () => void;
}

/** A send of a chat. */
export interface Send {
  /** The user message to be answered. */
  readonly messageId: string | undefined;
  readonly requestId: string;
  /** Call if the gateway does not have the message, and will not get it. */
  refused(error: MidstreamError): void;
}

/** One response of a chat: requested, or being read. */
export interface ActiveResponse {
  runId: string | undefined;
  readonly send: Send | undefined;
  /** Settles once the gateway has answered its request, or that was given up. */
  opened?: Promise<unknown>;
  /** Attempts that failed since its connection last worked. */
  failures: number;
  /** Ends it for the chat, as a stop does. */
  readonly abort: AbortController;
  /** The session sync of its chat has ended. Another chat of the same id may have one now. */
  left: boolean;
  /** Its chat no longer reads it: a chat reads one response only, and a later send has failed. */
  forsaken: boolean;
}

export type ActivityEvent =
  | { type: 'changed'; messageId?: string | undefined }
  | { type: 'ended'; runId: string | undefined; finished: boolean; error: unknown }
  | { type: 'rejected'; message: UIMessage; messageId: string | undefined; error: MidstreamError }
  | { type: 'stopped'; runId: string | undefined; messageId: string | undefined }
  | { type: 'stop-failed'; error: unknown };

/** The activity of one chat. It connects the transport with the session sync. */
export class ChatActivity {
  readonly responses = new Set<ActiveResponse>();
  /** The id of the last message shown; `null` if none, `undefined` if not known. */
  head: string | null | undefined;
  feed: RunFeed | undefined;
  /** Stops that are not answered or given up yet. A send waits for them. */
  stopping: Promise<unknown> | undefined;
  /** Messages for the queue that the gateway has not accepted yet. */
  adding = 0;
  #lastChange: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<(event: ActivityEvent) => void>();

  /** The responses of the chat that has the session sync. */
  get here(): readonly ActiveResponse[] {
    return [...this.responses].filter(({ left }) => !left);
  }

  /** Record that the session sync has ended. With `useChat` of ai 5 and 6 the chat may still read. */
  leave(): void {
    for (const response of this.responses) response.left = true;
  }

  begin(send?: Send): ActiveResponse {
    const response: ActiveResponse = {
      runId: undefined,
      send,
      failures: 0,
      left: false,
      forsaken: false,
      abort: new AbortController(),
    };
    this.responses.add(response);
    this.emit({ type: 'changed', messageId: send?.messageId });
    return response;
  }

  /** Record that a response failed before it began: the chat no longer reads its earlier ones. */
  failed(response: ActiveResponse): void {
    if (response.send === undefined) return;
    for (const other of this.responses) {
      if (other === response) return;
      other.forsaken = true;
    }
  }

  end(response: ActiveResponse, finished: boolean, error?: unknown): void {
    if (!this.responses.delete(response)) return;
    this.emit({ type: 'ended', runId: response.runId, finished, error });
  }

  /**
   * Make a change of the queue behind all that this page has asked for before, whatever becomes of
   * that: behind other changes, and behind the sends and stops that are not answered yet.
   *
   * @param adds - the number of messages that it adds.
   */
  inOrder(change: () => Promise<void>, adds = 0): Promise<void> {
    const changed = Promise.all([this.#lastChange, this.#answers()]).then(change);
    this.#lastChange = changed.catch(() => {});
    this.#count(adds);
    return changed.finally(() => this.#count(-adds));
  }

  #count(added: number): void {
    this.adding += added;
    this.emit({ type: 'changed' });
  }

  async #answers(): Promise<void> {
    // A macrotask: `chat.sendMessage` calls the transport some microtasks later.
    await new Promise(next => setTimeout(next));
    await this.stopping;
    await Promise.allSettled([...this.responses].map(({ send, opened }) => send && opened));
  }

  /** Wait until these responses have ended, at most for the limit. */
  async ended(responses: readonly ActiveResponse[], limitMs: number): Promise<void> {
    const over = new AbortController();
    const look = () => {
      if (!responses.some(response => this.responses.has(response))) over.abort();
    };
    const forget = this.listen(look);
    look();
    await pause(limitMs, over.signal);
    forget();
  }

  listen(listener: (event: ActivityEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: ActivityEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
