import { page } from './page.js';

/**
 * How many answers may hold a connection, over all tabs. Over HTTP/1.1 a browser opens six
 * connections to a host. The feed takes one, and two stay free for short requests: sends, stops.
 */
const SLOTS = 3;

/** Return Web Locks, if there are any: pages over plain HTTP have none. */
export function locksOfPage(): LockManager | undefined {
  return page.navigator?.locks;
}

/**
 * Reserve a connection for the length of an answer.
 *
 * @returns a function that releases it; `null` if all are taken.
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
