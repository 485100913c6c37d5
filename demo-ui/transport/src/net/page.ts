/** Globals that a browser has and Node lacks. */
export const page: {
  document?: Document;
  navigator?: Partial<Navigator>;
  addEventListener?: EventTarget['addEventListener'];
} = globalThis;

/** Listen to an event of the page, if there is a page, until the signal is aborted. */
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

export function isOffline(): boolean {
  return page.navigator?.onLine === false;
}

/**
 * Call back when a connection may work again: the browser comes online, or the page becomes
 * visible. Returns a function that stops.
 */
export function onWake(wake: (isOnline?: boolean) => void): () => void {
  const over = new AbortController();
  const visible = () => isVisible() && wake();
  hear('online', () => wake(true), over.signal);
  hear('pageshow', visible, over.signal);
  hear('visibilitychange', visible, over.signal, page.document);
  return () => over.abort();
}
