import { type SseEvent } from './sse.js';
/**
 * One response of server-sent events, until it ends, breaks or falls silent.
 *
 * Iterating ends when the response does, or after `close()`; it throws `ConnectionLost` when
 * the response breaks.
 */
export declare class EventConnection implements AsyncIterable<SseEvent> {
    private readonly response;
    private readonly abort;
    private readonly heard;
    private heardAt;
    constructor(response: Response, abort: AbortController, heard?: () => void);
    close(): void;
    [Symbol.asyncIterator](): AsyncGenerator<SseEvent, void, undefined>;
    /** Close a connection that has died without a word: a laptop that slept, a changed network. */
    private watch;
}
/** Fetch, with failures of the network as `ConnectionLost`, and aborts as they are. */
export declare function request(fetch: typeof globalThis.fetch, url: string, init: RequestInit): Promise<Response>;
/** Make sure that a response is a stream of events, not a page of something in between. */
export declare function checkEventStream(response: Response): void;
/** Return a controller that is aborted with `signal`, and can be aborted without it. */
export declare function linked(signal: AbortSignal | undefined): AbortController;
