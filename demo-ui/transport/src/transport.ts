import type { ChatTransport, HttpChatTransportInitOptions, UIMessage, UIMessageChunk } from 'ai';

import { abortError, ConnectionLost, MidstreamError, resetOf } from './errors.js';
import { linked, requestJson } from './net/connection.js';
import { Endpoint, type Prepared, type RequestOptions, type SendOptions } from './net/endpoint.js';
import { placeByIds, placeOf } from './net/place.js';
import { retry } from './net/retry.js';
import { takeSlot } from './net/slots.js';
import { type ActiveResponse, ChatActivity } from './run/activity.js';
import { chatsOnPage, type ResumableAdapter } from './run/on-page.js';
import { fromFeed, handOver, openRun } from './run/run-connection.js';
import { type Cursor, type RunConnection, runStream } from './run/run-stream.js';
import { StopRule } from './run/stop-rule.js';

/** Limit on the delivery of a response's last chunks, after its stop was answered. */
const LAST_CHUNKS_MS = 1_000;

/** Codes that refuse the message itself. It leaves the chat: the next send must not build on it. */
const NOT_KEPT = /^(run_active|too_large|rate_limited)$/;

export interface MidstreamChatTransportOptions<MESSAGE extends UIMessage>
  extends HttpChatTransportInitOptions<MESSAGE> {
  /**
   * Tabs of a browser share one feed if their `api` and `scope` are equal. Set it to the user's id
   * if several users can be signed in at once in one browser.
   */
  scope?: string;
  /** Returns the session of a chat where the ids differ: assistant-ui makes ids of its own. */
  sessionId?: (chatId: string) => string;
}

/**
 * A chat transport for Midstream, with the options of `DefaultChatTransport`. Responses survive
 * lost connections, sends are retried without a second run, and a stop ends the run on the server.
 *
 * One instance serves any number of chats, and should live as long as the page.
 */
export class MidstreamChatTransport<MESSAGE extends UIMessage = UIMessage>
  implements ChatTransport<MESSAGE>
{
  /** Tells Vue to make no proxy of it: proxies cannot reach private fields. */
  readonly __v_skip = true;
  /** A resumed response begins with the whole message so far. */
  readonly resumeStreamIsReplay = true;
  /** The gateway's requests. For the session sync. */
  readonly endpoint: Endpoint<MESSAGE>;
  readonly scope: string;
  /** Returns the session of a chat. */
  readonly sessionId: (chatId: string) => string;
  readonly #chats = new Map<string, ChatActivity>();
  readonly #rule = new StopRule();

  constructor(options: MidstreamChatTransportOptions<MESSAGE> = {}) {
    this.endpoint = new Endpoint(options);
    this.scope = options.scope ?? '';
    this.sessionId = options.sessionId ?? (chatId => chatId);
  }

  /**
   * Send, edit, regenerate or continue. Retries never start a second run.
   *
   * @throws MidstreamError with the gateway's code, and the message that was not accepted.
   */
  async sendMessages(
    options: SendOptions<MESSAGE> & { abortSignal: AbortSignal | undefined },
  ): Promise<ReadableStream<UIMessageChunk>> {
    const activity = this.activity(options.chatId);
    const { messages, messageId, trigger } = options;
    const question = messages.findLast(message => message.role === 'user');
    const requestId = newKey();
    const refused = (error: MidstreamError) => {
      // A message that is answered again is in the session already.
      if (messages.at(-1) !== question || trigger === 'regenerate-message') return;
      activity.emit({ type: 'rejected', message: question as MESSAGE, messageId, error });
    };
    const response = activity.begin({ messageId: question?.id, requestId, refused });
    let place = placeOf(messages, activity.head);
    const chatId = this.sessionId(options.chatId);
    const prepare = () => this.endpoint.send({ ...options, chatId }, requestId, place);
    const open = (prepared: Prepared, signal: AbortSignal) =>
      openRun(this.endpoint.fetch, prepared, signal);
    const post = async (prepared: Prepared, signal: AbortSignal): Promise<RunConnection> => {
      const opened = await open(prepared, signal).catch(async error => {
        // The parent is gone, or never arrived: send once more.
        if (error.code !== 'message_not_found' || place.parentId === undefined) throw error;
        place = placeByIds(place, messages);
        return open(await prepare(), signal);
      });
      if (opened === null) throw new MidstreamError('bad_response', 'unable to use the answer: it is empty');
      activity.head = question?.id;
      return this.#share(activity, opened, 0);
    };
    try {
      const stream = await this.#respond(options, response, async () => {
        const prepared = await prepare();
        return (cursor, signal) =>
          // Nothing received yet: repeating the send streams the run from its beginning.
          cursor.last === undefined
            ? post(prepared, signal)
            : this.#resume(options, cursor, signal);
      });
      return stream as ReadableStream<UIMessageChunk>; // `post` is never null
    } catch (error) {
      if (error instanceof MidstreamError) {
        error.rejected = question;
        // A later message or an answer under way would pass it over; the session would undo an edit.
        const isAnswering = activity.here.some(({ forsaken }) => forsaken);
        if (isAnswering || messageId !== undefined || NOT_KEPT.test(error.code)) refused(error);
      }
      throw error;
    }
  }

  /** Stream the open run from the beginning of its message; `null` if nothing runs. */
  async reconnectToStream(
    options: RequestOptions & { chatId: string; abortSignal?: AbortSignal },
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    // Before anything is awaited: see StopRule.
    this.#rule.resumed(options.chatId);
    const response = this.activity(options.chatId).begin();
    return this.#respond(options, response, async () => (cursor, signal) =>
      this.#resume(options, cursor, signal),
    );
  }

  /**
   * Stop a chat's run on the server. Resolves once it has ended. Responses of this transport then
   * end as after `chat.stop()`, with complete parts.
   *
   * @throws MidstreamError if the gateway could not be reached; the run goes on.
   */
  async stop(chatId: string): Promise<void> {
    const activity = this.activity(chatId);
    const responses = [...activity.responses];
    const meant = responses.length > 0 ? responses : [{}];
    await Promise.all(meant.map(response => this.#postStop(chatId, response)));
    await activity.ended(responses, LAST_CHUNKS_MS);
    for (const response of responses) response.abort.abort();
  }

  /**
   * Call before a component that holds a chat unmounts, and call the returned function after it.
   * An abort in between, as `useChat` of ai 7 makes, stops no run. `useSession` does both.
   */
  openTeardown(chatId: string): () => void {
    return this.#rule.openTeardown(chatId);
  }

  /**
   * Delete one message from a chat's session; without an id, all messages.
   *
   * @throws MidstreamError `run_active` while an answer that involves it is being written.
   */
  async remove(chatId: string, messageId?: string): Promise<void> {
    const path = messageId === undefined ? '' : `/${encodeURIComponent(messageId)}`;
    await this.change(chatId, 'DELETE', `/messages${path}`);
  }

  /** Make a request that may come twice, until it is answered. */
  async #insist(prepare: () => Promise<Prepared>): Promise<void> {
    const request = async () => requestJson(this.endpoint.fetch, await prepare());
    await retry(request);
  }

  /**
   * Send a message that waits for its turn while an answer is being written, or is given to that
   * answer. It is sent once the gateway has answered what this page has sent before, so that it
   * overtakes nothing.
   *
   * @throws MidstreamError `queue_full`, or why the gateway refuses it.
   */
  enqueue(chatId: string, message: object, body?: object, onActive: 'queue' | 'steer' = 'queue'): Promise<void> {
    const requestId = newKey();
    const options = {
      chatId: this.sessionId(chatId),
      messages: [{ id: requestId, role: 'user', ...message } as MESSAGE],
      trigger: 'submit-message' as const,
      messageId: undefined,
      body,
    };
    const prepare = () => this.endpoint.send(options, requestId, { onActive });
    return this.activity(chatId).inOrder(() => this.#insist(prepare), 1);
  }

  /** Change a part of a chat's session, after the changes before. For the session sync. */
  change(chatId: string, method: string, path: string, change?: object): Promise<void> {
    const prepare = () => this.endpoint.change(this.sessionId(chatId), method, path, change);
    return this.activity(chatId).inOrder(() => this.#insist(prepare));
  }

  /** Return the activity of a chat. For the session sync. */
  activity(chatId: string): ChatActivity {
    const session = this.sessionId(chatId);
    let activity = this.#chats.get(session);
    if (activity === undefined) this.#chats.set(session, (activity = new ChatActivity()));
    return activity;
  }

  /** For assistant-ui: lets `useChatRuntime` resume the open run of a chat that appears on the page. */
  getResumableAdapter(): ResumableAdapter {
    return chatsOnPage.adapter;
  }

  /** Connect, and stream to the chat until the run's end, an error or an abort. */
  async #respond(
    { chatId, abortSignal }: { chatId: string; abortSignal?: AbortSignal | undefined },
    response: ActiveResponse,
    prepare: () => Promise<Connect>,
  ): Promise<ReadableStream<UIMessageChunk> | null> {
    const activity = this.activity(chatId);
    const abort = linked(abortSignal);
    response.abort.signal.addEventListener('abort', () => abort.abort());
    const onAbort = () =>
      this.#rule.aborted(chatId, () => {
        this.#postStop(chatId, response).catch(() => {}); // the session reports it
      });
    abortSignal?.addEventListener('abort', onAbort);
    const end = (finished: boolean, error?: unknown) => {
      abortSignal?.removeEventListener('abort', onAbort);
      activity.end(response, finished, error);
    };
    const failed = (failures: number) => {
      response.failures = failures;
      activity.emit({ type: 'changed' });
    };
    try {
      const opened = open(activity, prepare, abort.signal, failed);
      response.opened = opened;
      const [connect, first] = await opened;
      response.runId = first?.runId;
      failed(0);
      if (first === null) {
        end(false);
        return null;
      }
      return runStream({
        first,
        connect,
        signal: abort.signal,
        onMessage: id => {
          activity.head = id;
        },
        onFailures: failed,
        onEnd: ({ finished, error }) => end(finished, error),
      });
    } catch (error) {
      activity.failed(response);
      // After the stop's microtask, which needs the response.
      queueMicrotask(() => end(false, error));
      throw abort.signal.aborted ? abortError() : error;
    }
  }

  async #resume(
    options: RequestOptions & { chatId: string },
    cursor: Cursor,
    signal: AbortSignal,
  ): Promise<RunConnection | null> {
    const { feed } = this.activity(options.chatId);
    const next = cursor.last === undefined ? undefined : cursor.last + 1;
    if (feed !== undefined && next !== undefined && cursor.runId !== undefined) {
      if (feed.covers(cursor.runId, next)) return fromFeed(feed, cursor.runId, next);
    } else {
      const whole = feed?.whole();
      if (feed !== undefined && whole !== undefined) return fromFeed(feed, whole, 0);
    }
    const session = this.sessionId(options.chatId);
    const since = feed?.mark() ?? 0;
    const prepared = await this.endpoint.resume(session, options, cursor.runId, cursor.last);
    const opened = await openRun(this.endpoint.fetch, prepared, signal).catch((error: Error) => {
      // A limit refuses the connection, not the run: wait, and retry.
      const wait = resetOf(error);
      throw wait ? new ConnectionLost(error.message, wait) : error;
    });
    if (opened === null || feed === undefined) return opened;
    return handOver(opened, feed, next, since);
  }

  /** Keep a send's connection while a slot is free; else continue from the shared feed. */
  async #share(
    activity: ChatActivity,
    opened: RunConnection,
    next: number,
  ): Promise<RunConnection> {
    if (activity.feed === undefined) return opened;
    const release = await takeSlot();
    if (release === null) return handOver(opened, activity.feed, next, 0);
    const close = () => {
      opened.close();
      release();
    };
    return { ...opened, close };
  }

  #postStop(chatId: string, { runId, send }: Partial<ActiveResponse>): Promise<void> {
    const activity = this.activity(chatId);
    const { messageId, requestId } = send ?? {};
    activity.emit({ type: 'stopped', runId, messageId });
    const what = runId === undefined ? { messageId, requestId } : { runId };
    const post = async () => {
      const prepared = await this.endpoint.change(this.sessionId(chatId), 'POST', '/stop', what, true);
      const { stopped } = await requestJson<{ stopped: string[] }>(this.endpoint.fetch, prepared);
      // Not accepted. If the send still arrives, its message shows again, and its run ends at once.
      if (runId === undefined && stopped.length === 0) send?.refused(notAccepted());
    };
    const posted = retry(post);
    posted.catch((error: unknown) => activity.emit({ type: 'stop-failed', error }));
    const stopping = Promise.allSettled([activity.stopping, posted]).then(() => {
      if (activity.stopping === stopping) activity.stopping = undefined;
      activity.emit({ type: 'changed' });
    });
    activity.stopping = stopping;
    return posted;
  }
}

function notAccepted(): MidstreamError {
  return new MidstreamError('stopped', 'unable to send; it was stopped before it arrived');
}

type Connect = (cursor: Cursor, signal: AbortSignal) => Promise<RunConnection | null>;

/** Connect for the first time, once the stops before are answered. */
async function open(
  activity: ChatActivity,
  prepare: () => Promise<Connect>,
  signal: AbortSignal,
  failed: (failures: number) => void,
): Promise<[Connect, RunConnection | null]> {
  await activity.stopping;
  const connect = await prepare();
  const start: Cursor = { runId: undefined, last: undefined };
  return [connect, await retry(() => connect(start, signal), signal, failed)];
}

/** Return a unique key for one send. It is no secret, and not every page or app has `crypto`. */
function newKey(): string {
  return Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join('');
}
