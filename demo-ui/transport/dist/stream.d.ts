import type { UIMessageChunk } from 'ai';
/** A chunk and its sequence in the run; of an aggregated state only the last one has it. */
export interface RunEvent {
    sequence: number | undefined;
    chunk: UIMessageChunk;
}
/** One way to a run: a response, or the feed. Iterating throws `ConnectionLost` if it breaks. */
export interface RunConnection {
    readonly runId: string | undefined;
    readonly events: AsyncIterable<RunEvent>;
    close(): void;
}
/** How far a response has come: enough to take it up on another connection. */
export interface Cursor {
    runId: string | undefined;
    /** The sequence of the last chunk delivered. */
    last: number | undefined;
}
export interface RunStreamOptions {
    /** The connection that is open already. */
    first: RunConnection;
    /** Make another one; `null` if there is nothing (any more) to connect to. */
    connect: (cursor: Cursor, signal: AbortSignal) => Promise<RunConnection | null>;
    signal: AbortSignal;
    /** Told the connection's state: how many attempts failed since it last worked. */
    onFailures?: (failures: number) => void;
    /** The stream has ended: after the run's last chunk, or with an error, or unread. */
    onEnd?: (how: {
        finished: boolean;
        error?: unknown;
    }) => void;
    random?: () => number;
}
/**
 * A run as one stream of chunks, however many connections it takes: each chunk once, in order.
 *
 * Ends after `finish`. After a stop that ended the run elsewhere, and when `signal` is aborted,
 * it fails with an AbortError: the one ending that a chat takes for a stop, and after which it
 * does not send again by itself. Pulled, never pushed: a failure must not overtake chunks.
 */
export declare function runStream(options: RunStreamOptions): ReadableStream<UIMessageChunk>;
