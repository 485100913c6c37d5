import type { HttpChatTransportInitOptions, UIMessage } from 'ai';
export interface RequestOptions {
    headers?: Record<string, string> | Headers;
    body?: object;
    metadata?: unknown;
}
export interface SendOptions<MESSAGE extends UIMessage> extends RequestOptions {
    trigger: 'submit-message' | 'regenerate-message';
    chatId: string;
    messageId: string | undefined;
    messages: MESSAGE[];
}
/** A request, ready for `fetch` but for its signal. */
export interface Prepared {
    url: string;
    init: RequestInit;
}
/** What is asked of the gateway: addresses, headers and bodies. No waits, no retries. */
export declare class Endpoint<MESSAGE extends UIMessage> {
    private readonly options;
    readonly api: string;
    constructor(options: HttpChatTransportInitOptions<MESSAGE>);
    /** The application's fetch, else the page's own, looked up late: others may patch it. */
    get fetch(): typeof globalThis.fetch;
    /**
     * A send, as `DefaultChatTransport` makes it, with a key of this send in its body: however
     * often it is repeated, the gateway starts one run.
     */
    send(options: SendOptions<MESSAGE>, requestId: string): Promise<Prepared>;
    /**
     * A response to take up again.
     *
     * @param after - continue with the chunk that follows this sequence; without it, the state
     *   of the whole message comes first.
     */
    resume(chatId: string, options: RequestOptions, runId: string | undefined, after: number | undefined): Promise<Prepared>;
    /** A stop; it reaches the gateway also while the page goes away. */
    stop(chatId: string, what: {
        runId?: string;
        messageId?: string;
    }): Promise<Prepared>;
    snapshot(chatId: string): Promise<Prepared>;
    /** The feeds of several sessions in one response, each from its position. */
    follow(positions: Iterable<[chatId: string, position: string | null]>): Promise<Prepared>;
    private common;
    private of;
}
