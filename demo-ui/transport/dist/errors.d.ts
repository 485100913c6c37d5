import type { UIMessage } from 'ai';
/**
 * A failure with a code: the gateway's own (docs/errors.md), or one of this package:
 *
 * - `unreachable`: a send got no answer, however often it was repeated
 * - `connection_lost`: a response broke off and could not be taken up again
 * - `bad_response`: what answered is not the gateway
 * - `not_recovered`: the answer cannot be continued; load the session's messages
 *
 * Never a `TypeError`: the AI SDK would take it for a network failure of its own and, in
 * ai 5 and 6, show the parts of the next replay twice.
 */
export declare class MidstreamError extends Error {
    readonly name = "MidstreamError";
    readonly code: string;
    /** The HTTP status, where there was an answer. */
    readonly status: number | undefined;
    /** Whether the same request may succeed later. */
    readonly temporary: boolean;
    /** What else the gateway said: `runId`, `messageId`, … */
    readonly details: Readonly<Record<string, unknown>>;
    /** The user message that was not accepted. */
    rejected: UIMessage | undefined;
    constructor(code: string, message: string, options?: {
        status?: number;
        temporary?: boolean;
        details?: Record<string, unknown>;
        cause?: unknown;
    });
}
/** A connection that broke: to be taken up again. Never leaves this package. */
export declare class ConnectionLost extends Error {
    readonly name = "ConnectionLost";
    /** What the gateway asked to wait. */
    readonly retryAfterMs: number | undefined;
    constructor(message: string, retryAfterMs?: number);
}
/** What the AI SDK takes for a stop: `isAbort`, `ready`, nothing sent again by itself. */
export declare function abortError(): DOMException;
export declare function isAbortError(error: unknown): boolean;
/** Turn an answer that is not 2xx into what to do: try again, or tell. */
export declare function failureOf(response: Response): Promise<ConnectionLost | MidstreamError>;
