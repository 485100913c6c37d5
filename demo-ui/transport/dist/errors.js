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
export class MidstreamError extends Error {
    name = 'MidstreamError';
    code;
    /** The HTTP status, where there was an answer. */
    status;
    /** Whether the same request may succeed later. */
    temporary;
    /** What else the gateway said: `runId`, `messageId`, … */
    details;
    /** The user message that was not accepted. */
    rejected;
    constructor(code, message, options = {}) {
        super(message, { cause: options.cause });
        this.code = code;
        this.status = options.status;
        this.temporary = options.temporary ?? false;
        this.details = options.details ?? {};
    }
}
/** A connection that broke: to be taken up again. Never leaves this package. */
export class ConnectionLost extends Error {
    name = 'ConnectionLost';
    /** What the gateway asked to wait. */
    retryAfterMs;
    constructor(message, retryAfterMs) {
        super(message);
        this.retryAfterMs = retryAfterMs;
    }
}
/** What the AI SDK takes for a stop: `isAbort`, `ready`, nothing sent again by itself. */
export function abortError() {
    return new DOMException('This operation was aborted', 'AbortError');
}
export function isAbortError(error) {
    return error?.name === 'AbortError';
}
/** Statuses of proxies and of gateways that restart: worth another attempt. */
const RETRIED_STATUS = new Set([408, 425, 429, 502, 503, 504]);
/** Turn an answer that is not 2xx into what to do: try again, or tell. */
export async function failureOf(response) {
    const body = await bodyOf(response);
    if (RETRIED_STATUS.has(response.status)) {
        const seconds = Number(response.headers.get('retry-after'));
        return new ConnectionLost(body?.message ?? `the gateway answered ${response.status}`, Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined);
    }
    if (body === undefined) {
        return new MidstreamError('bad_response', `unable to use the answer: HTTP ${response.status}`, {
            status: response.status,
            temporary: response.status >= 500,
        });
    }
    const { code, message, temporary, ...details } = body;
    return new MidstreamError(code, message, { status: response.status, temporary, details });
}
async function bodyOf(response) {
    try {
        const { error } = (await response.json());
        if (typeof error.code !== 'string')
            return undefined;
        return { ...error, code: error.code, message: `${error.message}`, temporary: error.temporary === true };
    }
    catch {
        return undefined; // an error page of something in between
    }
}
