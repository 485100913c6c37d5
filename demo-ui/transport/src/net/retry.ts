import { abortError, ConnectionLost, MidstreamError } from '../errors.js';
import { untilHere } from './departure.js';
import { onWake } from './page.js';

/** The first wait; each further one is twice as long, up to the last. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/** A connection that broke sooner has hardly worked: the next one does not come at once. */
export const WORKED_MS = 1_000;

/**
 * How long to wait before an attempt. The first repetition comes at once, for the connection
 * that a proxy closed for its age; then exponential, the upper half of it random, so that the
 * clients of a gateway that restarts do not come back together.
 *
 * @param failures - attempts that failed since one last worked, from 1.
 */
export function waitBefore(failures: number, random: () => number = Math.random): number {
  if (failures <= 1) return 0;
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 2));
  return wait / 2 + (wait / 2) * random();
}

/** Wait; return early when the browser comes online, the page becomes visible, or on abort. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted || ms <= 0) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      forget();
      resolve();
    };
    const timer = setTimeout(done, ms);
    const forget = onWake(done);
    signal.addEventListener('abort', done);
  });
}

/** Attempts to send, resume or stop before giving up: about half a minute. */
const MAX_ATTEMPTS = 9;

/**
 * Try until it works, fails for good, or has failed too often.
 *
 * @param failed - told how often it has failed so far.
 * @throws MidstreamError `unreachable` after the last attempt; an AbortError once aborted.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  failed: (failures: number) => void = () => {},
  attempts = MAX_ATTEMPTS,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      if (signal.aborted) throw abortError();
      return await attempt();
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      if (failures >= attempts) {
        throw new MidstreamError('unreachable', `unable to reach the gateway; ${error.message}`, {
          temporary: true,
          cause: error,
        });
      }
      failed(failures);
      await pause(Math.max(error.retryAfterMs, waitBefore(failures)), signal);
      await untilHere(signal);
    }
  }
}
