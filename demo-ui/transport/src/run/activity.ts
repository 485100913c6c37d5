import type { UIMessage } from 'ai';

import type { MidstreamError } from '../errors.js';
import { pause } from '../net/retry.js';
import type { RunEvent } from './run-stream.js';

/** What a chat's feed can offer to its responses: the runs that it has seen, chunk by chunk. */
export interface RunFeed {
  /** Names what is known now: a state that is asked for after it is no older. */
  mark(): number;
  /**
   * Whether the chunks of a run from a sequence on can be read here.
   *
   * @param since - the sequence follows a state that was asked for after this mark.
   */
  covers(runId: string, sequence: number, since?: number): boolean;
  /** The open run, if the feed has all of it and a resume needs no more than its chunks. */
  whole(): string | undefined;
  /** The chunks from a sequence on; throws `ConnectionLost` once it cannot go on. */
  tail(runId: string, sequence: number, since?: number): AsyncIterable<RunEvent>;
  /** Call back when any of this may have changed. */
  onChange(changed: () => void): () => void;
}

/** What a chat has sent. */
export interface Send {
  /** The user message that it answers. */
  readonly messageId: string | undefined;
  readonly requestId: string;
  /** The gateway does not have the message, and will not. */
  refused(error: MidstreamError): void;
}

/** One response of a chat that is being read, or asked for. */
export interface ActiveResponse {
  runId: string | undefined;
  readonly send: Send | undefined;
  /** Attempts that failed since its connection last worked. */
  failures: number;
  /** Ends it for the chat, as a stop does. */
  readonly abort: AbortController;
  /** What followed its chat has gone: another chat of the same id may follow it now. */
  left: boolean;
  /** Its chat, which attends to one response only, has turned to a send, and that has failed. */
  forsaken: boolean;
}

export type ActivityEvent =
  | { type: 'changed'; messageId?: string | undefined }
  | { type: 'ended'; runId: string | undefined; finished: boolean; error: unknown }
  | { type: 'rejected'; message: UIMessage; messageId: string | undefined; error: MidstreamError }
  | { type: 'stopped'; runId: string | undefined; messageId: string | undefined }
  | { type: 'stop-failed'; error: unknown };

/** What goes on in one chat of a transport; what binds the transport and the session sync. */
export class ChatActivity {
  readonly responses = new Set<ActiveResponse>();
  /** The last message that it shows, `null` if none; `undefined` if that is not known. */
  head: string | null | undefined;
  feed: RunFeed | undefined;
  /** Stops under way, until all are answered or given up; a send waits for them. */
  stopping: Promise<unknown> | undefined;
  readonly #listeners = new Set<(event: ActivityEvent) => void>();

  /** The responses of the chat that is followed. */
  get here(): readonly ActiveResponse[] {
    return [...this.responses].filter(({ left }) => !left);
  }

  /** The chat is not followed any more; with `useChat` of ai 5 and 6 it may still read. */
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

  /** A response has failed before it began. A chat does not return to what it read before. */
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

  /** Wait until these have been read to their end, or given up; not longer than the limit. */
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
