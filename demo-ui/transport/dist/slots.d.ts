/**
 * Take the right to hold a connection for the length of an answer; `null` if all are taken.
 *
 * @returns what gives it back.
 */
export declare function takeSlot(): Promise<(() => void) | null>;
