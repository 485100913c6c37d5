import { abortError, ConnectionLost, MidstreamError } from '../errors.js';
import { untilHere } from './departure.js';
import { onWake } from './page.js';

/** The first wait. Each further one is twice as long, up to the longest. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;

/** A connection that broke sooner counts as failed: the next attempt waits. */
export const WORKED_MS = 1_000;

/**
 * Return the wait before a retry. The first retry is immediate: a proxy may have closed the
 * connection for its age. Later waits grow exponentially, and their upper half is random, so that
 * the clients of a restarted gateway do not come back together.
 *
 * @param failures - failed attempts since one last worked, from 1.
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
 * Retry an attempt until it succeeds, fails for good, or has failed too often.
 *
 * @param failed - called with the number of failures so far.
 * @throws MidstreamError `unreachable` after the last attempt; an AbortError once aborted.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  signal = new AbortController().signal,
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
