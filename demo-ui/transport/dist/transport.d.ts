import type { ChatTransport, HttpChatTransportInitOptions, UIMessage, UIMessageChunk } from 'ai';
import { ChatActivity } from './activity.js';
import { Endpoint, type RequestOptions, type SendOptions } from './endpoint.js';
export interface MidstreamChatTransportOptions<MESSAGE extends UIMessage> extends HttpChatTransportInitOptions<MESSAGE> {
    /**
     * Tabs of a browser share one feed if they have the same `api` and the same `scope`. Name the
     * user here if several can be signed in, in one browser at once.
     */
    scope?: string;
}
/**
 * A chat transport for Midstream: what `DefaultChatTransport` takes, and responses that survive
 * lost connections, sends that can be repeated, and a stop that ends the run on the server.
 *
 * One instance serves any number of chats, and should live as long as the page.
 */
export declare class MidstreamChatTransport<MESSAGE extends UIMessage = UIMessage> implements ChatTransport<MESSAGE> {
    /** A resumed response begins with the whole message so far. */
    readonly resumeStreamIsReplay = true;
    /** Addresses and headers of the gateway; for the session sync. */
    readonly endpoint: Endpoint<MESSAGE>;
    readonly scope: string;
    private readonly chats;
    private readonly rule;
    constructor(options?: MidstreamChatTransportOptions<MESSAGE>);
    /**
     * Send, edit, regenerate or go on. However often connections fail, one run is started.
     *
     * @throws MidstreamError with the gateway's code, and the message that was not accepted.
     */
    sendMessages(options: SendOptions<MESSAGE> & {
        abortSignal: AbortSignal | undefined;
    }): Promise<ReadableStream<UIMessageChunk>>;
    /** Follow the run under way, from the beginning of its message; `null` if nothing runs. */
    reconnectToStream(options: RequestOptions & {
        chatId: string;
        abortSignal?: AbortSignal;
    }): Promise<ReadableStream<UIMessageChunk> | null>;
    /**
     * Stop what runs in a chat, on the server; resolves once it has ended. Responses of this
     * transport then end as after `chat.stop()`, their parts complete.
     *
     * @throws MidstreamError if the gateway could not be told; the run goes on.
     */
    stop(chatId: string): Promise<void>;
    /**
     * Call before a component that holds a chat goes away, and the returned function when it is
     * gone: what `useChat` of ai 7 aborts in between stops no run. `useSession` does it.
     */
    openTeardown(chatId: string): () => void;
    /** What goes on in a chat; for the session sync. */
    activity(chatId: string): ChatActivity;
    /** Connect, and stream to the chat until the run's end, an error or an abort. */
    private respond;
    private resume;
    /** Let a send keep its connection if there are enough, else read on from the tabs' feed. */
    private share;
    /** The person has pressed stop on a response. */
    private stopped;
    private postStop;
}
