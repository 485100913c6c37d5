/** The first wait; each further one is twice as long, up to the last. */
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 10_000;
/**
 * How long to wait before an attempt. The first repetition comes at once, for the connection
 * that a proxy closed for its age; then exponential, the upper half of it random, so that the
 * clients of a gateway that restarts do not come back together.
 *
 * @param failures - attempts that failed since one last worked, from 1.
 */
export function waitBefore(failures, random = Math.random) {
    if (failures <= 1)
        return 0;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 2));
    return wait / 2 + (wait / 2) * random();
}
/** Call back when the browser comes online, or the page is looked at again. */
export function onWake(wake) {
    if (typeof addEventListener !== 'function' || typeof removeEventListener !== 'function') {
        return () => { };
    }
    const online = () => wake('online');
    const visible = () => {
        if (typeof document === 'undefined' || document.visibilityState === 'visible')
            wake('visible');
    };
    const page = typeof document === 'undefined' ? undefined : document;
    addEventListener('online', online);
    addEventListener('pageshow', visible);
    page?.addEventListener('visibilitychange', visible);
    return () => {
        removeEventListener('online', online);
        removeEventListener('pageshow', visible);
        page?.removeEventListener('visibilitychange', visible);
    };
}
/** Wait; return early when the browser comes online, the page becomes visible, or on abort. */
export function pause(ms, signal) {
    if (signal.aborted || ms <= 0)
        return Promise.resolve();
    return new Promise(resolve => {
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
export function isOffline() {
    return typeof navigator !== 'undefined' && navigator.onLine === false;
}
