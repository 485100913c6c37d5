import { page } from './page.js';

/**
 * Over HTTP/1.1 a browser keeps six connections to a host, for all its tabs. One is the feed's.
 * Three may be held by answers that stream to the tab that asked for them; the rest stays free
 * for short requests: sends, stops, probes.
 */
const SLOTS = 3;

/** Web Locks, where there are any: not on pages that came over plain HTTP. */
export function locksOfPage(): LockManager | undefined {
  return page.navigator?.locks;
}

/**
 * Take the right to hold a connection for the length of an answer; `null` if all are taken.
 *
 * @returns what gives it back.
 */
export async function takeSlot(): Promise<(() => void) | null> {
  const locks = locksOfPage();
  if (locks === undefined) return () => {};
  for (let slot = 1; slot <= SLOTS; slot++) {
    const release = await new Promise<(() => void) | null>(resolve => {
      locks
        .request(`midstream:answer:${slot}`, { ifAvailable: true }, lock => {
          if (lock === null) return resolve(null);
          return new Promise<void>(giveBack => resolve(giveBack));
        })
        .catch(() => resolve(() => {})); // a page that may not use locks
    });
    if (release !== null) return release;
  }
  return null;
}
