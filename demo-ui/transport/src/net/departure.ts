import { ConnectionLost } from '../errors.js';
import { hear, isVisible, page } from './page.js';

/**
 * A page goes for good, or into the browser's back-forward cache, from which it may return. While
 * it is gone nothing is asked and nothing stays open: what a page that goes has begun, Firefox
 * never ends, and of six connections to a host it would keep one for ever.
 */
let departure: AbortController | undefined;
const returns = new Set<() => void>();
const always = new AbortController().signal;

/** Aborted when the page goes; one that has returned has another. */
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
    // A page that is looked at is there, whatever was said.
    hear('visibilitychange', () => isVisible() && back(), always, page.document);
  }
  return departure.signal;
}

/** Abort, as a connection that is lost, when the page goes; not any more once it is aborted. */
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
 * Begin something, end it when the page goes, and begin again when it is back.
 *
 * @param begin - told whether it is back; returns what ends it.
 * @returns what ends it for good.
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
