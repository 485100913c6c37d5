/** One server-sent event. `id` is the event's own, not the last one seen. */
export interface SseEvent {
    event: string;
    id: string | undefined;
    data: string;
}
/**
 * Text in, events out; the text may be cut anywhere. An event that the end cuts off is never
 * returned, as the standard wants. Line ends may be LF, CRLF or CR.
 *
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (parsing).
 */
export declare class SseParser {
    private rest;
    private event;
    private id;
    private data;
    /** Take the next piece and return the events that it completes, in order. */
    push(text: string): SseEvent[];
    private take;
    private dispatch;
}
