import { abortError, ConnectionLost, MidstreamError } from '../errors.js';
import { untilHere } from './departure.js';
import { pause, waitBefore } from './retry.js';

/** Attempts to send, resume or stop before giving up: about half a minute. */
const MAX_ATTEMPTS = 9;

/**
 * Try until it works, fails for good, or has failed too often.
 *
 * @param failed - told how often it has failed so far.
 * @throws MidstreamError `unreachable` after the last attempt; an AbortError once aborted.
 */
export async function insist<T>(
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

