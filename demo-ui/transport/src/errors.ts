import type { UIMessage } from 'ai';

/**
 * A failure with a code: the gateway's own (docs/errors.md), or one of this package:
 *
 * - `unreachable`: a send got no answer, however often it was repeated
 * - `connection_lost`: a response broke off and could not be taken up again
 * - `bad_response`: what answered is not the gateway
 * - `stopped`: a send was stopped before it arrived
 * - `not_recovered`: the answer cannot be continued; load the session's messages
 *
 * Never a `TypeError`: the AI SDK would take it for a network failure of its own and, in
 * ai 5 and 6, show the parts of the next replay twice.
 */
export class MidstreamError extends Error {
  override readonly name = 'MidstreamError';
  readonly code: string;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** Whether the same request may succeed later. */
  readonly temporary: boolean;
  /** What else the gateway said: `runId`, `messageId`; of `rate_limited` `limit`, `resetMs`; … */
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

/** A connection that broke: to be taken up again. Never leaves this package. */
export class ConnectionLost extends Error {
  /** What the gateway asked to wait; 0 if it did not. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** What the AI SDK takes for a stop: `isAbort`, `ready`, nothing sent again by itself. */
export function abortError(): Error {
  // React Native has no DOMException; the name is what counts.
  return Object.assign(new Error('aborted'), { name: 'AbortError' });
}

export function isAbortError(error: unknown): boolean {
  return (error as { name?: unknown } | undefined)?.name === 'AbortError';
}

/** What is told of a failure: also to other tabs, where an Error would lose its code. */
export interface Reason {
  code: string;
  message: string;
  /** How long the gateway asked to wait before another attempt, if it did. */
  retryAfterMs?: number;
}

export function reasonOf(error: unknown): Reason {
  const code = error instanceof MidstreamError ? error.code : 'unknown';
  const retryAfterMs = resetOf(error);
  return { code, message: (error as Error).message, ...(retryAfterMs && { retryAfterMs }) };
}

/** The gateway's word that a limit is reached: told, where another attempt has no end by itself. */
export const RATE_LIMITED = 'rate_limited';

/** When a limit has room again, in milliseconds; 0 for any other failure. */
export function resetOf(error: unknown): number {
  const { code, details } = error as Partial<MidstreamError>;
  return code === RATE_LIMITED ? Number(details?.resetMs) || 1_000 : 0;
}

/** Statuses of proxies and of gateways that restart: worth another attempt. */
const RETRIED_STATUS = /^(408|425|429|50[234])$/;

/** Turn an answer that is not 2xx into what to do: try again, or tell. */
export async function failureOf(response: Response): Promise<ConnectionLost | MidstreamError> {
  const { status } = response;
  const { code = 'bad_response', message, temporary, ...details } = await bodyOf(response);
  if (RETRIED_STATUS.test(`${status}`) && code !== RATE_LIMITED) {
    // Nothing where there is none, or a date.
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

/** What the gateway says of an error; nothing if something in between has answered. */
async function bodyOf(response: Response): Promise<ErrorBody> {
  try {
    const { error } = (await response.json()) as { error: ErrorBody };
    if (typeof error.code !== 'string') return {};
    return { ...error, message: `${error.message}`, temporary: error.temporary === true };
  } catch {
    return {}; // a page
  }
}
