import type { UIMessage } from 'ai';

import type { ActivityEvent } from './activity.js';
import { MidstreamError, type Reason, reasonOf } from './errors.js';
import { isSame, mergeMessages } from './merge.js';
import type { Presence, RunInfo } from './model.js';
import { SessionFeed } from './session-feed.js';
import type { MidstreamChatTransport } from './transport.js';

/** What is common to a `Chat` of every framework, and to what `useChat` returns. */
export interface ChatLike<MESSAGE extends UIMessage> {
  readonly id: string;
  messages: MESSAGE[];
  readonly status: 'submitted' | 'streaming' | 'ready' | 'error';
  setMessages?: (change: (messages: MESSAGE[]) => MESSAGE[]) => void;
  // Any: its overloads differ between the versions of the AI SDK.
  sendMessage: (message?: any, options?: any) => Promise<void>;
  resumeStream: () => Promise<void>;
  clearError: () => void;
}

/** A message that was refused because another answer was being written. */
export interface UnsentMessage<MESSAGE extends UIMessage> {
  message: MESSAGE;
  /** Set if it was an edit: of this message. */
  messageId: string | undefined;
  error: MidstreamError;
}

/**
 * What goes on: nothing; a send that is not accepted yet; a run that has not said anything; the
 * model's reasoning; a tool; text; a stop that is recorded; a connection being made again.
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
  /** Whether what other tabs and devices do is seen here as it happens. */
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
  /** The newest run, under way or ended: when, how, and stopped by whom. */
  run: RunInfo | undefined;
  /** Who has the session open. */
  here: readonly Presence[];
  unsent: readonly UnsentMessage<MESSAGE>[];
}

/** These end a response without saying anything about its run. */
const LOST = new Set(['connection_lost', 'not_recovered']);

/**
 * Keeps a chat equal to its session: what other tabs and devices send, edit, regenerate and
 * delete shows here, and a run that was started elsewhere is streamed by the chat's own resume.
 *
 * While the chat streams it is left alone; what was missed is made up when it is idle.
 */
export class ChatSession<MESSAGE extends UIMessage> {
  private readonly feed: SessionFeed<MESSAGE>;
  private readonly listeners = new Set<() => void>();
  /** Runs that the chat has read to their end, or was told to stop. */
  private readonly done = new Set<string>();
  /** Runs that the chat was asked to resume on this connection. */
  private readonly tried = new Set<string>();
  private readonly chatId: string;
  private state: SessionState<MESSAGE>;
  private unsent: readonly UnsentMessage<MESSAGE>[] = [];
  private stopError: Reason | undefined;
  private lost = false;
  /** The model's revision that the chat shows; -1 if the chat has changed since. */
  private shown = -1;
  private stopListening: (() => void) | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly chat: () => ChatLike<MESSAGE>,
    private readonly transport: MidstreamChatTransport<MESSAGE>,
  ) {
    this.chatId = chat().id;
    this.feed = new SessionFeed(this.chatId, transport.endpoint, transport.scope, () =>
      this.changed(),
    );
    this.state = this.read();
  }

  /** Begin to follow. Returns what ends it; it can be started again. */
  start(): () => void {
    const activity = this.transport.activity(this.chatId);
    this.stopListening = activity.listen(event => this.heard(event));
    activity.feed = this.feed.buffer;
    this.tried.clear();
    this.shown = -1;
    this.feed.start();
    this.changed();
    return () => {
      this.stopListening?.();
      this.stopListening = undefined;
      clearTimeout(this.timer);
      this.timer = undefined;
      if (activity.feed === this.feed.buffer) activity.feed = undefined;
      activity.leave();
      this.feed.stop();
    };
  }

  getState = (): SessionState<MESSAGE> => this.state;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Stop what runs, wherever it was started; resolves once it has ended. */
  stop = (): Promise<void> => this.transport.stop(this.chatId);

  /** Send a message again that was refused; without an id, the oldest. */
  resend = async (id?: string): Promise<void> => {
    const entry = this.unsent.find(({ message }) => id === undefined || message.id === id);
    if (entry === undefined) return;
    this.discard(entry.message.id);
    const { role, parts, metadata } = entry.message;
    const { messageId } = entry;
    const message = { id: entry.message.id, role, parts, metadata, messageId };
    await this.chat().sendMessage(message);
  };

  /** Give a refused message up. */
  discard = (id: string): void => {
    this.unsent = this.unsent.filter(({ message }) => message.id !== id);
    this.publish();
  };

  /** Look again: the chat's status has changed. */
  chatChanged = (): void => {
    this.changed();
  };

  private heard(event: ActivityEvent): void {
    this.shown = -1;
    switch (event.type) {
      case 'rejected': {
        const { message, messageId, error } = event;
        this.unsent = [...this.unsent, { message: message as MESSAGE, messageId, error }];
        this.lost = true;
        break;
      }
      case 'stopped': {
        this.stopError = undefined;
        const runId = event.runId ?? this.feed.model.openRun?.id;
        if (runId !== undefined) this.done.add(runId);
        break;
      }
      case 'stop-failed':
        this.stopError = reasonOf(event.error);
        break;
      case 'ended':
        if (event.finished && event.runId !== undefined) this.done.add(event.runId);
        if (event.error instanceof MidstreamError && LOST.has(event.error.code)) this.lost = true;
        break;
      case 'changed':
    }
    this.changed();
  }

  private changed(): void {
    this.publish();
    // A macrotask later: the chat sets its status after its response has ended.
    if (this.stopListening !== undefined) this.timer ??= setTimeout(() => this.settle(), 0);
  }

  /** Make an idle chat equal to the session, and let it resume what runs. */
  private settle(): void {
    this.timer = undefined;
    const { model, loaded, state } = this.feed;
    if (!loaded || this.busy()) return;
    if (state.connection !== 'live') this.tried.clear();
    if (this.shown !== model.revision) this.show();
    this.shown = model.revision;
    const run = model.openRun;
    if (run?.state !== 'open' || this.done.has(run.id) || this.tried.has(run.id)) return;
    this.tried.add(run.id);
    void this.chat().resumeStream();
  }

  private busy(): boolean {
    const { status } = this.chat();
    const { busy } = this.transport.activity(this.chatId);
    return busy || status === 'submitted' || status === 'streaming';
  }

  private show(): void {
    const { model } = this.feed;
    const refused = new Set(this.unsent.map(({ message }) => message.id));
    const run = model.openRun;
    const partial = run !== undefined && this.done.has(run.id) ? run.messageId : undefined;
    const chat = this.chat();
    const merge = (local: MESSAGE[]) => {
      const merged = mergeMessages(local, model.settled, model.known, refused, partial);
      return isSame(local, merged) ? local : merged;
    };
    if (chat.setMessages === undefined) {
      const next = merge(chat.messages);
      if (next !== chat.messages) chat.messages = next;
    } else chat.setMessages(merge);
    if (this.lost) {
      this.lost = false;
      chat.clearError();
    }
  }

  private publish(): void {
    const next = this.read();
    if (isSame(next, this.state)) return;
    this.state = next;
    for (const listener of [...this.listeners]) listener();
  }

  private read(): SessionState<MESSAGE> {
    const { model, loaded, state } = this.feed;
    return {
      connection: state.connection,
      since: state.since,
      error: state.error ?? this.stopError,
      loaded,
      deleted: model.erased,
      phase: this.phase(),
      run: model.run,
      here: model.presence,
      unsent: this.unsent,
    };
  }

  private phase(): Phase {
    const { responses } = this.transport.activity(this.chatId);
    const run = this.feed.model.openRun;
    if ([...responses].some(({ failures }) => failures > 0)) return 'reconnecting';
    if (run === undefined) return [...responses].some(r => r.messageId !== undefined) ? 'sending' : 'idle';
    if (run.state === 'stopping') return 'stopping';
    // Joined half-way: what was said so far came with the resume, not with the feed.
    const said = this.chat().status === 'streaming' ? 'text' : '';
    const newest = this.feed.buffer.newest?.type ?? said;
    if (newest.startsWith('reasoning')) return 'thinking';
    if (newest.startsWith('tool')) return 'calling-tool';
    return newest.startsWith('text') ? 'writing' : 'waiting';
  }
}
