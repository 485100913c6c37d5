/**
 * How long to wait before an attempt. The first repetition comes at once, for the connection
 * that a proxy closed for its age; then exponential, the upper half of it random, so that the
 * clients of a gateway that restarts do not come back together.
 *
 * @param failures - attempts that failed since one last worked, from 1.
 */
export declare function waitBefore(failures: number, random?: () => number): number;
/** What a page hears when there is reason to believe that a connection works again. */
type WakeReason = 'online' | 'visible';
/** Call back when the browser comes online, or the page is looked at again. */
export declare function onWake(wake: (reason: WakeReason) => void): () => void;
/** Wait; return early when the browser comes online, the page becomes visible, or on abort. */
export declare function pause(ms: number, signal: AbortSignal): Promise<void>;
export declare function isOffline(): boolean;
export {};
