import type { UIMessage } from 'ai';

import { type Branching, branchingOf } from './branches.js';
import { MidstreamError, type Reason, reasonOf } from './errors.js';
import { SessionFeed } from './feed/session-feed.js';
import type { Presence, QueueState, RunInfo } from './feed/session-model.js';
import { isSame, mergeMessages, passedOver } from './merge.js';
import type { ActivityEvent, ChatActivity } from './run/activity.js';
import { type QueueActions, queueActions } from './queue.js';
import type { MidstreamChatTransport } from './transport.js';

/** The common interface of every framework's `Chat` and of what `useChat` returns. */
export interface ChatLike<MESSAGE extends UIMessage> {
  readonly id: string;
  messages: MESSAGE[];
  readonly status: 'submitted' | 'streaming' | 'ready' | 'error';
  setMessages?: (change: (messages: MESSAGE[]) => MESSAGE[]) => void;
  // `any`: the overloads differ between the versions of the AI SDK.
  sendMessage: (message?: any, options?: any) => Promise<void>;
  resumeStream: () => Promise<void>;
  clearError: () => void;
}

/**
 * A user message that the session does not have. The error's code says why:
 *
 * - `run_active`: another answer was being written
 * - `too_large`, `rate_limited`: it exceeds a limit
 * - `stopped`: it was stopped before it arrived
 * - `unreachable`: its send failed, and a later message was accepted
 * - any: it was an edit, or its send failed while another answer was being read
 */
export interface UnsentMessage<MESSAGE extends UIMessage> {
  message: MESSAGE;
  /** For an edit: the id of the message that it changes. */
  messageId: string | undefined;
  error: MidstreamError;
}

/**
 * The chat's activity, in the order of the names: none; a send that is not accepted yet; a run
 * without output so far; the model's reasoning; a tool call; text; a stop that is recorded; a
 * connection that is being retried.
 */
export type Phase =
  | 'idle'
  | 'sending'
  | 'waiting'
  | 'thinking'
  | 'calling-tool'
  | 'writing'
  | 'stopping'
  | 'reconnecting';

export interface SessionState<MESSAGE extends UIMessage> {
  /** `live`: changes by other tabs and devices show here as they happen. */
  connection: 'live' | 'reconnecting' | 'offline';
  /** Since when, in milliseconds since 1970. */
  since: number;
  /** Why there is no connection, or why a stop did not arrive. */
  error: Reason | undefined;
  /** The session's messages have been loaded. */
  loaded: boolean;
  /** Somebody deleted the session. */
  deleted: boolean;
  phase: Phase;
  /** The newest run, under way or ended, with its times, its outcome and who stopped it. */
  run: RunInfo | undefined;
  /** The users who have the session open. */
  here: readonly Presence[];
  unsent: readonly UnsentMessage<MESSAGE>[];
  /** The messages that wait for their turn, the same in every tab, and what may be done to them. */
  queue: QueueState<MESSAGE> & QueueActions<MESSAGE>;
  /** Return the versions of a message that is shown, the same in every tab. */
  branches: Branching;
}

/** Codes that end a response and say nothing about its run. */
const LOST = /^(connection_lost|not_recovered)$/;

/**
 * Keeps a chat equal to its session. Messages that other tabs and devices send, edit, regenerate
 * or delete change here. The chat's own resume streams a run that was started elsewhere.
 *
 * A streaming chat is left alone, and catches up once it is idle. The exception is a stream that
 * the chat no longer reads, because a later send has failed.
 */
export class ChatSession<MESSAGE extends UIMessage> {
  /** Tells Vue to make no proxy of it: proxies cannot reach private fields. */
  readonly __v_skip = true;
  readonly #feed: SessionFeed<MESSAGE>;
  readonly #listeners = new Set<() => void>();
  /** Runs that the chat has read to their end, or was asked to stop. */
  readonly #done = new Set<string>();
  /** Messages whose send was stopped before its run was known. That run may still begin. */
  readonly #prevented = new Set<string>();
  /** Runs that the chat was asked to resume on this connection. */
  readonly #tried = new Set<string>();
  readonly #activity: ChatActivity;
  readonly #queue: QueueActions<MESSAGE>;
  readonly #branches: () => Branching;
  #state: SessionState<MESSAGE>;
  #unsent: readonly UnsentMessage<MESSAGE>[] = [];
  #stopError: Reason | undefined;
  #lost = false;
  /** The model's revision that the chat shows; -1 if the chat has changed since. */
  #shown = -1;
  #stopListening: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly #chat: () => ChatLike<MESSAGE>;

  constructor(
    chat: () => ChatLike<MESSAGE>,
    transport: MidstreamChatTransport<MESSAGE>,
  ) {
    this.#chat = chat;
    const { id } = chat();
    this.#activity = transport.activity(id);
    this.stop = () => transport.stop(id);
    // The feed brings the result.
    this.#queue = queueActions(transport, id);
    this.remove = messageId => transport.remove(id, messageId);
    this.clear = () => transport.remove(id);
    this.#feed = new SessionFeed(transport.sessionId(id), transport.endpoint, transport.scope, () => this.#changed());
    this.#branches = branchingOf(this.#feed.model, messageId => transport.change(id, 'POST', '/select', { messageId }));
    this.#state = this.#read();
  }

  /** Follow the session. Returns a function that stops; it can be started again. */
  start(): () => void {
    const activity = this.#activity;
    this.#stopListening = activity.listen(event => this.#heard(event));
    activity.feed = this.#feed.buffer;
    this.#tried.clear();
    this.#shown = -1;
    this.#feed.start();
    this.#changed();
    return () => {
      this.#stopListening?.();
      this.#stopListening = undefined;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      if (activity.feed === this.#feed.buffer) activity.feed = undefined;
      activity.leave();
      this.#feed.stop();
    };
  }

  getState = (): SessionState<MESSAGE> => this.#state;

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Stop the run, wherever it was started. Resolves once it has ended. */
  readonly stop: () => Promise<void>;

  /** Send a refused message again; without an id, the oldest. */
  resend = async (id?: string): Promise<void> => {
    const entry = this.#unsent.find(({ message }) => id === undefined || message.id === id);
    if (entry === undefined) return;
    const { message, messageId = '' } = entry;
    this.discard(message.id);
    // An edit of a message that the session does not have is a new send.
    const edited = this.#feed.model.known.has(messageId) ? messageId : undefined;
    try {
      await this.#chat().sendMessage({ ...message, messageId: edited });
    } catch (error) {
      this.#keep(entry); // the message that it edits is gone
      throw error;
    }
  };

  /** Drop a refused message. */
  discard = (id: string): void => {
    // The chat still shows it while the session is not live.
    if (!this.#feed.model.known.has(id)) this.#set(messages => messages.filter(each => each.id !== id));
    this.#unsent = this.#unsent.filter(({ message }) => message.id !== id);
    this.#publish();
  };

  /** Delete a message from the session, in every tab, and nothing else. */
  readonly remove: (id: string) => Promise<void>;

  /** Delete all messages. */
  readonly clear: () => Promise<void>;

  /** Call when the chat's status has changed. */
  chatChanged = (): void => {
    this.#changed();
  };

  #heard(event: ActivityEvent): void {
    this.#shown = -1;
    switch (event.type) {
      case 'rejected':
        // The transport sent it for this chat.
        this.#keep({ ...event, message: event.message as MESSAGE });
        this.#lost = true;
        break;
      case 'stopped': {
        this.#stopError = undefined;
        const { messageId } = event;
        const run = this.#feed.model.openRun;
        const isMeant = messageId === undefined || messageId === run?.userMessageId;
        const runId = event.runId ?? (isMeant ? run?.id : undefined);
        if (runId !== undefined) this.#done.add(runId);
        else if (messageId !== undefined) this.#prevented.add(messageId);
        break;
      }
      case 'stop-failed':
        this.#stopError = reasonOf(event.error);
        // The run goes on. Resume it if nothing reads it.
        this.#done.clear();
        this.#prevented.clear();
        if (this.#activity.here.length === 0) this.#again();
        break;
      case 'ended':
        if (event.finished && event.runId !== undefined) this.#done.add(event.runId);
        if (event.error instanceof MidstreamError && LOST.test(event.error.code)) this.#lost = true;
        break;
      case 'changed':
        if (event.messageId !== undefined) this.#prevented.delete(event.messageId);
    }
    this.#changed();
  }

  #keep({ message, messageId, error }: UnsentMessage<MESSAGE>): void {
    const others = this.#unsent.filter(entry => entry.message.id !== message.id);
    this.#unsent = [...others, { message, messageId, error }];
    this.#changed();
  }

  #changed(): void {
    // An unsent message may have arrived after all: its send and its stop have crossed.
    const { messages } = this.#feed.model;
    this.#unsent = this.#unsent.filter(
      ({ message: { id, parts }, messageId }) =>
        !messages.some(
          message => message.id === id && (messageId === undefined || isSame(message.parts, parts)),
        ),
    );
    this.#publish();
    // A macrotask later: the chat sets its status after its response has ended.
    if (this.#stopListening !== undefined) this.#timer ??= setTimeout(() => this.#settle(), 0);
  }

  /** Make an idle chat equal to the session, and let it resume the open run. */
  #settle(): void {
    this.#timer = undefined;
    const { model, loaded, state } = this.#feed;
    if (!loaded) return;
    const isLive = state.connection === 'live';
    const run = this.#wanted();
    if (this.#busy()) {
      if (isLive && run !== undefined) this.#letGo(run);
      return;
    }
    if (!isLive) {
      this.#tried.clear();
      // The session, as known here, may be older than the chat.
      if (this.#chat().messages.length > 0) return;
    }
    const resumes = run !== undefined && !this.#tried.has(run.id);
    if (this.#shown !== model.revision) this.#show(resumes);
    this.#shown = model.revision;
    if (!resumes) return;
    this.#tried.add(run.id);
    void this.#chat().resumeStream();
  }

  /** The run that the chat should be reading. */
  #wanted(): RunInfo | undefined {
    const run = this.#feed.model.openRun;
    const isOver = run?.state !== 'open' || this.#done.has(run.id);
    return isOver || this.#prevented.has(run.userMessageId) ? undefined : run;
  }

  /**
   * End the responses that the chat no longer reads: after a failed send it does not return to
   * the answer before. Their run is then resumed like any other.
   */
  #letGo(run: RunInfo): void {
    const { here, stopping } = this.#activity;
    if (stopping !== undefined || !here.every(({ forsaken }) => forsaken)) return;
    for (const { runId, abort } of here) {
      if (runId !== run.id) continue;
      this.#again();
      abort.abort();
    }
  }

  /**
   * Allow another resume of the open run, from its aggregated state. Replaying its chunks would
   * call tools again that have already answered.
   */
  #again(): void {
    this.#tried.clear();
    this.#feed.buffer.reset(this.#feed.model.openRun);
  }

  #busy(): boolean {
    const { status } = this.#chat();
    const { here, stopping } = this.#activity;
    const reads = here.length > 0 || status === 'submitted' || status === 'streaming';
    // The answer to a stop tells whether it has prevented a send.
    return reads || stopping !== undefined;
  }

  #show(resumes: boolean): void {
    const { model } = this.#feed;
    const refused = new Set(this.#unsent.map(({ message }) => message.id));
    const run = model.openRun;
    const chat = this.#chat();
    const merge = (local: MESSAGE[]) => {
      // The answer that was read here: the feed may not have it yet.
      const last = local.at(-1);
      const isAhead = this.#done.size && last?.role === 'assistant' && !model.known.has(last.id);
      const partial = isAhead ? last.id : this.#done.has(run?.id ?? '') ? run?.messageId : undefined;
      for (const message of passedOver(local, model.known, resumes)) {
        if (refused.has(message.id)) continue;
        refused.add(message.id);
        const error = new MidstreamError('unreachable', 'unable to send; the message did not arrive');
        this.#keep({ message, messageId: undefined, error });
      }
      this.#activity.head = model.settled.at(-1)?.id ?? null;
      const merged = mergeMessages(local, model.settled, model.known, refused, partial);
      return isSame(local, merged) ? local : merged;
    };
    this.#set(merge);
    if (this.#lost) {
      this.#lost = false;
      chat.clearError();
    }
  }

  #set(change: (messages: MESSAGE[]) => MESSAGE[]): void {
    const chat = this.#chat();
    if (chat.setMessages !== undefined) return chat.setMessages(change);
    const next = change(chat.messages);
    if (next !== chat.messages) chat.messages = next;
  }

  #publish(): void {
    const next = this.#read();
    if (isSame(next, this.#state)) return;
    this.#state = next;
    for (const listener of [...this.#listeners]) listener();
  }

  #read(): SessionState<MESSAGE> {
    const { model, loaded, state } = this.#feed;
    return {
      ...state,
      error: state.error ?? this.#stopError,
      loaded,
      deleted: model.erased,
      phase: this.#phase(),
      run: model.run,
      here: model.presence,
      unsent: this.#unsent,
      queue: { ...model.queue, ...this.#queue },
      branches: this.#branches(),
    };
  }

  #phase(): Phase {
    const { responses, adding } = this.#activity;
    const run = this.#feed.model.openRun;
    if ([...responses].some(({ failures }) => failures)) return 'reconnecting';
    const sends = adding > 0 || [...responses].some(({ send }) => send);
    if (run === undefined) return sends ? 'sending' : 'idle';
    if (run.state === 'stopping') return 'stopping';
    // After joining half-way: earlier chunks came with the resume, not with the feed.
    const said = this.#chat().status === 'streaming' ? 'text' : '';
    const newest = this.#feed.buffer.newest?.type ?? said;
    if (newest.startsWith('reasoning')) return 'thinking';
    if (newest.startsWith('tool')) return 'calling-tool';
    // `text-start` may come long before the first word.
    return /^text(?!-s)/.test(newest) ? 'writing' : 'waiting';
  }
}
