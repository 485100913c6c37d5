import type { UIMessage } from 'ai';
import type { MidstreamError } from './errors.js';
import type { RunEvent } from './stream.js';
/** What a chat's feed can offer to its responses: the runs that it has seen, chunk by chunk. */
export interface RunFeed {
    /** Whether the chunks of a run from a sequence on can be read here. */
    covers(runId: string, sequence: number): boolean;
    /** The open run, if the feed has all of it and a resume needs no more than its chunks. */
    whole(): string | undefined;
    /** The chunks from a sequence on; throws `ConnectionLost` once it cannot go on. */
    tail(runId: string, sequence: number): AsyncIterable<RunEvent>;
    /** Call back when any of this may have changed. */
    onChange(changed: () => void): () => void;
}
/** One response of a chat that is being read, or asked for. */
export interface ActiveResponse {
    runId: string | undefined;
    /** For a send: the user message that it answers. */
    readonly messageId: string | undefined;
    /** Attempts that failed since its connection last worked. */
    failures: number;
    /** Ends it for the chat, as a stop does. */
    readonly abort: AbortController;
    /** Resolves when the chat has read its last chunk, or will read no more. */
    readonly ended: Promise<void>;
    readonly end: () => void;
}
export type ActivityEvent = {
    type: 'changed';
} | {
    type: 'ended';
    runId: string | undefined;
    finished: boolean;
    error: unknown;
} | {
    type: 'rejected';
    message: UIMessage;
    messageId: string | undefined;
    error: MidstreamError;
} | {
    type: 'stopped';
    runId: string | undefined;
    messageId: string | undefined;
} | {
    type: 'stop-failed';
    error: unknown;
};
/** What goes on in one chat of a transport; what binds the transport and the session sync. */
export declare class ChatActivity {
    readonly responses: Set<ActiveResponse>;
    feed: RunFeed | undefined;
    /** A stop under way; a send waits for it. */
    stopping: Promise<unknown> | undefined;
    private readonly listeners;
    get busy(): boolean;
    begin(messageId?: string): ActiveResponse;
    end(response: ActiveResponse, finished: boolean, error?: unknown): void;
    listen(listener: (event: ActivityEvent) => void): () => void;
    emit(event: ActivityEvent): void;
}
