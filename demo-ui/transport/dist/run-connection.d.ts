import type { RunFeed } from './activity.js';
import type { Prepared } from './endpoint.js';
import type { RunConnection } from './stream.js';
/**
 * Ask for a response that streams a run. `null` if nothing runs (204).
 *
 * @throws ConnectionLost if asking again may help, else MidstreamError.
 */
export declare function openRun(fetch: typeof globalThis.fetch, { url, init }: Prepared, signal: AbortSignal): Promise<RunConnection | null>;
/** A run that is read from the feed alone. */
export declare function fromFeed(feed: RunFeed, runId: string, sequence: number): RunConnection;
/**
 * A response until the feed can go on with its run, and the feed from there: the connection is
 * free again after a moment, and other tabs can use it.
 *
 * @param next - the sequence that the response begins with, if that is known.
 */
export declare function handOver(response: RunConnection, feed: RunFeed, next: number | undefined): RunConnection;
