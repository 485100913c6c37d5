import { ConnectionLost } from '../errors.js';
import { hear, isVisible, page } from './page.js';

/**
 * Aborted when the page goes: for good, or into the back-forward cache, from which it may return.
 * While it is gone, no request is made and none stays open. Firefox never ends the requests of a
 * page that has gone, and each would keep one of the six connections to a host.
 */
let departure: AbortController | undefined;
const returns = new Set<() => void>();
const always = new AbortController().signal;

/** Return the signal that is aborted when the page goes. A page that returns gets a new one. */
function departureOfPage(): AbortSignal {
  if (departure === undefined) {
    departure = new AbortController();
    hear('pagehide', () => departure?.abort(), always);
    const back = () => {
      if (departure?.signal.aborted !== true) return;
      departure = new AbortController();
      for (const returned of [...returns]) returned();
    };
    hear('pageshow', back, always);
    // A visible page is here, whatever events it got.
    hear('visibilitychange', () => isVisible() && back(), always, page.document);
  }
  return departure.signal;
}

/** Abort with `ConnectionLost` when the page goes. An abort removes the listener. */
export function endWithPage(abort: AbortController): void {
  const lost = () => abort.abort(new ConnectionLost('the page has gone'));
  departureOfPage().addEventListener('abort', lost, { signal: abort.signal });
}

/** Wait while the page is gone; return early on abort. */
export function untilHere(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const here = () => {
      returns.delete(here);
      signal.removeEventListener('abort', here);
      resolve();
    };
    if (!departureOfPage().aborted || signal.aborted) return here();
    returns.add(here);
    signal.addEventListener('abort', here);
  });
}

/**
 * Begin something, end it when the page goes, and begin it again when the page is back.
 *
 * @param begin - told whether the page is back. Returns a function that ends what it began.
 * @returns a function that ends it for good.
 */
export function whileHere(begin: (isBack: boolean) => () => void): () => void {
  const over = new AbortController();
  let end: (() => void) | undefined;
  const start = (isBack: boolean) => {
    const gone = departureOfPage();
    if (gone.aborted) return;
    end = begin(isBack);
    gone.addEventListener('abort', stop, { signal: over.signal });
  };
  const stop = () => {
    end?.();
    end = undefined;
  };
  const again = () => start(true);
  returns.add(again);
  start(false);
  return () => {
    over.abort();
    returns.delete(again);
    stop();
  };
}
