/** What is happening, in words: never a spinner without a reason. */
import { exactDuration } from '../lib/time';
import type { DemoSession } from './useDemoSession';
import type { Message, RunInfo } from './types';

export interface Status {
  tone: 'idle' | 'busy' | 'warning' | 'danger';
  text: string;
  /** Counted on beside the text, from this time. */
  since?: number;
  detail?: string;
  offersRetry?: boolean;
}

type Facts = Pick<
  DemoSession,
  'status' | 'error' | 'connection' | 'run' | 'messages' | 'stoppedHere'
>;

/** The first rule that has something to say wins. */
export function statusOf(facts: Facts, offlineSince: number | null): Status | null {
  const { status, run } = facts;
  const busy = status === 'submitted' || status === 'streaming';
  if (facts.connection !== 'live' && offlineSince !== null) {
    return connectionStatus(facts.connection, offlineSince, busy);
  }
  if (run?.state === 'stopping') {
    return status === 'submitted' && run.userMessageId !== facts.messages.at(-1)?.id
      ? { tone: 'busy', text: 'Queued: the answer before is being stopped' }
      : { tone: 'busy', text: 'Stopping' };
  }
  if (busy) return busyStatus(facts.messages.at(-1), run);
  if (run?.state === 'ended') return endedStatus(run, facts);
  if (facts.error) return failure(facts.error.message);
  return null;
}

function connectionStatus(connection: string, since: number, busy: boolean): Status {
  const detail = busy ? 'The answer goes on without you; you will get what you miss.' : undefined;
  return {
    tone: 'warning',
    text: connection === 'offline' ? 'Offline' : 'Reconnecting',
    since,
    detail,
  };
}

function busyStatus(last: Message | undefined, run: RunInfo | null): Status {
  if (run === null || run.state === 'ended') return { tone: 'busy', text: 'Sending' };
  const part = last?.role === 'assistant' ? last.parts.findLast(hasContent) : undefined;
  if (part === undefined) {
    return { tone: 'busy', text: 'Waiting for the model', since: run.startedAtMs };
  }
  if (part.type === 'reasoning') return { tone: 'busy', text: 'Thinking', since: run.startedAtMs };
  if (part.type === 'dynamic-tool' || part.type.startsWith('tool-')) {
    const name = 'toolName' in part ? part.toolName : part.type.slice('tool-'.length);
    return { tone: 'busy', text: `Calling ${name}`, since: run.startedAtMs };
  }
  return { tone: 'busy', text: 'Writing', since: run.startedAtMs };
}

function hasContent(part: Message['parts'][number]): boolean {
  if (part.type === 'text') return part.text !== '';
  return part.type !== 'step-start' && part.type !== 'custom';
}

function endedStatus(run: RunInfo, facts: Facts): Status {
  const took = run.endedAtMs ? exactDuration(run.endedAtMs - run.startedAtMs) : '';
  switch (run.outcome) {
    case 'stopped':
      return { tone: 'idle', text: stopped(run, facts.stoppedHere), detail: `after ${took}` };
    case 'interrupted':
      return {
        tone: 'danger',
        text: 'Interrupted: the worker that wrote this is gone',
        detail: 'What it wrote is kept.',
        offersRetry: true,
      };
    case 'failed':
      return failure(facts.error?.message);
    default: {
      const tokens = facts.messages.at(-1)?.metadata?.usage?.outputTokens;
      return { tone: 'idle', text: `Finished in ${took}`, detail: tokens ? `${tokens} tokens` : undefined };
    }
  }
}

function stopped(run: RunInfo, stoppedHere: string | null): string {
  if (stoppedHere === run.id) return 'Stopped by you, here';
  return run.stoppedBy ? `Stopped by ${run.stoppedBy}` : 'Stopped in another tab';
}

function failure(message: string | undefined): Status {
  return {
    tone: 'danger',
    text: 'The answer failed',
    detail: message || 'The provider gave up; what it wrote is kept.',
    offersRetry: true,
  };
}
