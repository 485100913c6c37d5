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

/**
 * Call back when there is reason to believe that a connection works again: the browser comes
 * online, or the page is looked at again.
 */
export function onWake(wake: (isOnline?: boolean) => void): () => void {
  const over = new AbortController();
  const visible = () => isVisible() && wake();
  hear('online', () => wake(true), over.signal);
  hear('pageshow', visible, over.signal);
  hear('visibilitychange', visible, over.signal, page.document);
  return () => over.abort();
}

/** What a browser has, and Node has not. */
export const page: {
  document?: Document;
  navigator?: Partial<Navigator>;
  addEventListener?: EventTarget['addEventListener'];
} = globalThis;

/** Listen to an event of the page, where there is one, until the signal is aborted. */
export function hear(
  event: string,
  listener: () => void,
  signal: AbortSignal,
  target: Pick<typeof page, 'addEventListener'> | undefined = page,
): void {
  target?.addEventListener?.(event, listener, { signal });
}

export function isVisible(): boolean {
  return page.document?.visibilityState !== 'hidden';
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

export function isOffline(): boolean {
  return page.navigator?.onLine === false;
}
