import type { UIMessage } from 'ai';

/** A run as the gateway describes it. */
export interface RunInfo {
  id: string;
  state: 'open' | 'stopping' | 'ended';
  /** The message that it writes. */
  messageId: string;
  userMessageId: string;
  trigger: 'submit-message' | 'regenerate-message';
  agent?: string;
  /** It continues a message that existed before. */
  continues?: boolean;
  /** Its writer is silent, and another attempt at its job is awaited. */
  silent?: boolean;
  outcome?: 'finished' | 'stopped' | 'failed' | 'interrupted';
  stoppedBy?: string;
  startedAtMs?: number;
  endedAtMs?: number;
}

/** A user who has the session open. */
export interface Presence {
  user: string;
  tabs: number;
  lastSeenMs: number;
}

/** A message that waits for its run. */
export interface QueueEntry<MESSAGE extends UIMessage> {
  id: string;
  message: MESSAGE;
  by: { id: string; role: string; kind: string; name?: string };
  /** When it was sent, in milliseconds since 1970. */
  at: number;
  /** Counts its edits. */
  version: number;
  /** Why it will not be answered. */
  reason?: string;
}

/** What became of a message that was given to a running answer, in the AI SDK's words. */
export interface SteerOutcome<MESSAGE extends UIMessage> {
  id: string;
  type: 'delivered' | 'not-delivered';
  runId?: string;
  /** The step of the answer that read it, from 0. */
  stepNumber?: number;
  /** Why the answer did not read it. It waits in the queue, unless its sender wanted it back. */
  reason?: 'finished' | 'stop-condition' | 'waiting-for-tool-results' | 'aborted' | 'error' | 'unsupported';
  /** Absent if this page did not see it wait. */
  message?: MESSAGE;
}

export interface QueueState<MESSAGE extends UIMessage> {
  /** In the order in which they are answered. */
  entries: readonly QueueEntry<MESSAGE>[];
  /** Why none is answered now. */
  paused: 'stopped' | 'failed' | null;
  /** The newest answer waits for a person, or for a tool of the client. */
  waitsFor: 'approval' | 'tool' | null;
  /** Given to the answer that is being written, which has not taken them up yet. */
  steers: readonly Omit<QueueEntry<MESSAGE>, 'version'>[];
  /** What this page has seen become of such messages, the newest last: at most 32. */
  outcomes: readonly SteerOutcome<MESSAGE>[];
  /** Will not be answered. Add them again, or remove them. */
  unsent: readonly QueueEntry<MESSAGE>[];
}

interface QueueEvent<MESSAGE extends UIMessage> extends Pick<QueueState<MESSAGE>, 'paused' | 'waitsFor'> {
  order: string[];
  unsent: { id: string; reason: string }[];
  entry?: QueueEntry<MESSAGE>;
}

interface SteerEvent<MESSAGE extends UIMessage> {
  outcome: SteerOutcome<MESSAGE>;
  /** Of one that waits. */
  entry?: QueueState<MESSAGE>['steers'][number];
}

export interface Snapshot<MESSAGE extends UIMessage> {
  epoch: string;
  offset: string;
  title?: string;
  messages: MESSAGE[];
  runs: RunInfo[];
  presence?: Presence[];
  queue?: Omit<QueueState<MESSAGE>, 'steers' | 'outcomes'>;
  steers?: QueueState<MESSAGE>['steers'];
  /** The other versions of messages. */
  branches?: Record<string, { ids: string[] }>;
  /** What follows the last message, and is not shown. */
  following?: string[];
}

const EMPTY_QUEUE = { entries: [], paused: null, waitsFor: null, steers: [], outcomes: [], unsent: [] };
const MAX_OUTCOMES = 32;

/**
 * A session, built from its log: the path of messages from the first to the newest, and the
 * newest run. Edits and regenerations cut the path and continue from there.
 */
export class SessionModel<MESSAGE extends UIMessage> {
  messages: readonly MESSAGE[] = [];
  run: RunInfo | undefined;
  presence: readonly Presence[] = [];
  queue: QueueState<MESSAGE> = EMPTY_QUEUE;
  /** The versions in the place of each message, oldest first, and in the place after the last. Replaced on a change. */
  places: readonly (readonly string[])[] = [];
  /** The session existed and was deleted. */
  erased = false;
  /** Counts changes of messages and runs. */
  revision = 0;
  /** The ids of all messages that the session ever had. Any other message was never accepted. */
  readonly known = new Set<string>();

  /** The messages without the one that the open run writes: that one is streamed. */
  get settled(): readonly MESSAGE[] {
    const open = this.openRun;
    return open === undefined
      ? this.messages
      : this.messages.filter(message => message.id !== open.messageId);
  }

  get openRun(): RunInfo | undefined {
    return this.run?.state === 'ended' ? undefined : this.run;
  }

  load(snapshot: Snapshot<MESSAGE>): void {
    this.erased = snapshot.epoch === '' && (this.erased || this.messages.length > 0);
    this.revision += 1;
    this.messages = snapshot.messages;
    this.presence = snapshot.presence ?? this.presence;
    const { outcomes } = this.queue;
    this.queue = { ...EMPTY_QUEUE, ...snapshot.queue, steers: snapshot.steers ?? [], outcomes };
    for (const { id } of this.messages) this.known.add(id);
    this.places = [...this.messages.map(({ id }) => snapshot.branches?.[id]?.ids ?? [id]), snapshot.following ?? []];
    this.run = snapshot.runs.at(-1);
    if (this.run !== undefined) this.apply('run', this.run);
  }

  /** Apply an event. Returns false if it does not fit, and a snapshot is needed. */
  apply(event: string, data: unknown): boolean {
    if (event !== 'presence' && event !== 'queue' && event !== 'steer') {
      this.revision += 1;
      this.erased = false;
    }
    switch (event) {
      case 'message': {
        const { message, parentId } = data as { message: MESSAGE; parentId: string | null };
        this.known.add(message.id);
        const at = this.messages.findIndex(({ id }) => id === parentId) + 1;
        if (parentId !== null && at === 0) return false;
        this.messages = [...this.messages.slice(0, at), message];
        this.places = [...this.places.slice(0, at), [...new Set(this.places[at]).add(message.id)]];
        return true;
      }
      case 'run': {
        const run = data as RunInfo;
        this.run = run;
        this.known.add(run.messageId);
        // A regenerated answer leaves the path as soon as the new one begins.
        const question = this.messages.findIndex(({ id }) => id === run.userMessageId);
        if (run.state !== 'ended' && run.continues !== true && question >= 0) {
          this.messages = this.messages.slice(0, question + 1);
        }
        return true;
      }
      case 'queue': {
        const { order, unsent, entry, ...rest } = data as QueueEvent<MESSAGE>;
        const known = new Map<string, QueueEntry<MESSAGE>>();
        for (const each of [...this.queue.unsent, ...this.queue.entries]) known.set(each.id, each);
        if (entry !== undefined) known.set(entry.id, entry);
        const entries = order.flatMap(id => known.get(id) ?? []);
        const others = unsent.flatMap(({ id, reason }) => ({ ...known.get(id), reason }));
        this.queue = { ...this.queue, ...rest, entries, unsent: others as QueueEntry<MESSAGE>[] };
        return entries.length === order.length && others.every(({ id }) => id !== undefined);
      }
      case 'steer':
        this.queue = steered(this.queue, data as SteerEvent<MESSAGE>);
        return true;
      case 'presence':
        this.presence = (data as { here: Presence[] }).here;
        return true;
      default:
        return true; // an event of a newer gateway
    }
  }
}

/** Return the queue after an event about a message for the running answer. */
function steered<MESSAGE extends UIMessage>(
  queue: QueueState<MESSAGE>,
  { outcome, entry }: SteerEvent<MESSAGE>,
): QueueState<MESSAGE> {
  const isOther = ({ id }: { id: string }) => id !== outcome.id;
  const steers = queue.steers.filter(isOther);
  const outcomes = queue.outcomes.filter(isOther);
  if (entry !== undefined) steers.push(entry);
  else {
    const waited = queue.steers.find(each => !isOther(each));
    outcomes.push({ ...outcome, ...(waited && { message: waited.message }) });
  }
  return { ...queue, steers, outcomes: outcomes.slice(-MAX_OUTCOMES) };
}

/** Return whether position `a` is at or before `b`, in the same log. */
export function isCoveredBy(a: string, b: string | null): boolean {
  // EPOCH:MS-SEQUENCE
  const [epochA, msA, sequenceA] = a.split(/[:-]/);
  const [epochB, msB, sequenceB] = (b ?? '').split(/[:-]/);
  const behind = Number(msA) - Number(msB) || Number(sequenceA) - Number(sequenceB);
  return epochA === epochB && behind <= 0;
}
