import type { UIMessage } from 'ai';

/**
 * A failure with a code: the gateway's own (docs/errors.md), or one of this package:
 *
 * - `unreachable`: no answer to a send, a resume or a stop, after all retries
 * - `connection_lost`: a response broke off and could not be resumed
 * - `bad_response`: the answer does not come from a gateway
 * - `stopped`: a send was stopped before it arrived
 * - `not_recovered`: the answer cannot be resumed; load the session's messages
 *
 * Never a `TypeError`: the AI SDK treats that as a network failure of its own and, in ai 5 and 6,
 * shows the parts of the next replay twice.
 */
export class MidstreamError extends Error {
  override readonly name = 'MidstreamError';
  readonly code: string;
  /** The HTTP status; `undefined` without an answer. */
  readonly status: number | undefined;
  /** Whether the same request may succeed later. */
  readonly temporary: boolean;
  /** Other fields of the gateway's error: `runId`, `messageId`; of `rate_limited` `limit`, `resetMs`. */
  readonly details: Readonly<Record<string, unknown>>;
  /** The user message that was not accepted. */
  rejected: UIMessage | undefined;

  constructor(
    code: string,
    message: string,
    options: {
      status?: number;
      temporary?: boolean;
      details?: Record<string, unknown>;
      cause?: unknown;
    } = {},
  ) {
    super(message, options);
    const { status, temporary = false, details = {} } = options;
    this.code = code;
    this.status = status;
    this.temporary = temporary;
    this.details = details;
  }
}

/** A broken connection, to be retried. Never leaves this package. */
export class ConnectionLost extends Error {
  /** The wait that the gateway asked for; 0 if it did not. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Return the error that the AI SDK treats as a stop: `isAbort`, `ready`, no automatic resend. */
export function abortError(): Error {
  // React Native has no DOMException. The AI SDK looks at the name only.
  return Object.assign(new Error('aborted'), { name: 'AbortError' });
}

export function isAbortError(error: unknown): boolean {
  return (error as { name?: unknown } | undefined)?.name === 'AbortError';
}

/** A failure as plain data. Other tabs get it too, and an Error would lose its code on the way. */
export interface Reason {
  code: string;
  message: string;
  /** The wait that the gateway asked for, if it did. */
  retryAfterMs?: number;
}

export function reasonOf(error: unknown): Reason {
  const code = error instanceof MidstreamError ? error.code : 'unknown';
  const retryAfterMs = resetOf(error);
  return { code, message: (error as Error).message, ...(retryAfterMs && { retryAfterMs }) };
}

/** The code of a reached limit. It is reported, not retried as other answers with status 429. */
export const RATE_LIMITED = 'rate_limited';

/** Return the milliseconds until a limit allows more; 0 for any other failure. */
export function resetOf(error: unknown): number {
  const { code, details } = error as Partial<MidstreamError>;
  return code === RATE_LIMITED ? Number(details?.resetMs) || 1_000 : 0;
}

/** Statuses to retry: those of proxies, and of gateways that restart. */
const RETRIED_STATUS = /^(408|425|429|50[234])$/;

/** Turn an answer outside 2xx into an error: `ConnectionLost` to retry, `MidstreamError` to report. */
export async function failureOf(response: Response): Promise<ConnectionLost | MidstreamError> {
  const { status } = response;
  const { code = 'bad_response', message, temporary, ...details } = await bodyOf(response);
  if (RETRIED_STATUS.test(`${status}`) && code !== RATE_LIMITED) {
    // 0 if the header is absent or holds a date.
    const seconds = Number(response.headers.get('retry-after')) || 0;
    return new ConnectionLost(message ?? `the gateway answered ${status}`, seconds * 1000);
  }
  return new MidstreamError(code, message ?? `unable to use the answer: HTTP ${status}`, {
    status,
    temporary: temporary ?? status >= 500,
    details,
  });
}

interface ErrorBody extends Record<string, unknown> {
  code?: string;
  message?: string;
  temporary?: boolean;
}

/** Return the gateway's error; nothing if the answer comes from something in between. */
async function bodyOf(response: Response): Promise<ErrorBody> {
  try {
    const { error } = (await response.json()) as { error: ErrorBody };
    if (typeof error.code !== 'string') return {};
    return { ...error, message: `${error.message}`, temporary: error.temporary === true };
  } catch {
    return {}; // an HTML page
  }
}
