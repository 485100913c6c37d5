/** The session's status in words: there is no spinner without a reason. */
import { getToolName, isToolUIPart } from 'ai';
import type { RunInfo } from 'midstream-chat/react';
import { exactDuration } from '../words/time';
import type { Message } from './types';
import type { DemoSession } from './useDemoSession';

export interface Status {
  tone: 'idle' | 'busy' | 'warning' | 'danger';
  text: string;
  /** The time since which the duration beside the text counts. */
  since?: number;
  detail?: string;
  offersRetry?: boolean;
}

const GOES_ON = 'The answer continues without you. You will get what you miss.';
const KEPT = 'What was written is kept. You will get what you miss.';

/** Return the status; the first rule that applies wins. */
export function statusOf(demo: DemoSession): Status | null {
  const { chat, session } = demo;
  const { connection, run, phase } = session;
  if (session.deleted) return { tone: 'warning', text: 'This session was deleted', detail: 'A new message starts it again.' };
  const busy = phase !== 'idle';
  if (connection === 'offline' || (connection === 'reconnecting' && session.loaded)) {
    return {
      tone: 'warning',
      text: connection === 'offline' ? 'Offline' : 'Reconnecting',
      since: session.since,
      detail: busy ? (connection === 'offline' ? GOES_ON : KEPT) : session.error?.message,
    };
  }
  if (!session.loaded) {
    return { tone: 'busy', text: 'Loading the session', detail: session.error?.message };
  }
  if (busy) return busyStatus(demo, run);
  if (run?.state === 'ended') return endedStatus(demo, run);
  return chat.error ? failure(chat.error.message) : null;
}

function busyStatus({ chat, session, stoppedHere, notice }: DemoSession, run: RunInfo | undefined): Status {
  const since = run?.startedAtMs;
  if (run?.silent && session.phase !== 'stopping') {
    return { tone: 'warning', text: 'Waiting for another attempt', detail: KEPT };
  }
  switch (session.phase) {
    case 'sending':
      return run?.state === 'stopping'
        ? { tone: 'busy', text: 'Queued: the previous answer is being stopped' }
        : { tone: 'busy', text: 'Sending' };
    case 'waiting':
      if (notice) return { tone: 'warning', text: notice };
      return { tone: 'busy', text: 'Waiting for the model', since };
    case 'thinking':
      return { tone: 'busy', text: 'Thinking', since };
    case 'calling-tool':
      return { tone: 'busy', text: `Calling ${toolName(chat.messages.at(-1))}`, since };
    case 'stopping':
      return { tone: 'busy', text: stoppedHere ? 'Stopping' : 'Being stopped in another tab' };
    case 'reconnecting':
      // The feed is live and the resume is sent, but no producer has continued the answer yet.
      return { tone: 'warning', text: 'Waiting for the answer to continue', since: session.since, detail: KEPT };
    default: {
      // `text-start` may come long before the first word.
      const last = chat.messages.at(-1)?.parts.at(-1);
      const silent = last?.type === 'text' && last.text === '';
      return { tone: 'busy', text: silent ? 'Waiting for the model' : 'Writing', since };
    }
  }
}

function toolName(message: Message | undefined): string {
  const part = message?.parts.findLast(isToolUIPart);
  return part ? getToolName(part) : 'a tool';
}

function endedStatus({ chat, stoppedHere }: DemoSession, run: RunInfo): Status {
  const took =
    run.endedAtMs && run.startedAtMs ? exactDuration(run.endedAtMs - run.startedAtMs) : 'a moment';
  switch (run.outcome) {
    case 'stopped':
      return { tone: 'idle', text: stopped(run, stoppedHere), detail: `after ${took}` };
    case 'interrupted':
      return {
        tone: 'danger',
        text: cutByProvider(chat.messages.at(-1))
          ? 'Interrupted: the model broke off'
          : 'Interrupted: the worker that wrote this is gone',
        detail: 'What it wrote is kept.',
        offersRetry: true,
      };
    case 'failed':
      return failure(chat.error?.message);
    default: {
      const question = questionOf(chat.messages.at(-1));
      if (question) return { tone: 'busy', text: question };
      const tokens = chat.messages.at(-1)?.metadata?.usage?.outputTokens;
      return { tone: 'idle', text: `Finished in ${took}`, detail: tokens ? `${tokens} tokens` : undefined };
    }
  }
}

/** Return whether an answer ended because the provider's response broke off. */
function cutByProvider(message: Message | undefined): boolean {
  return message?.metadata?.finishReason === 'interrupted';
}

/** Return what a finished run waits for the person to do, if anything. */
function questionOf(message: Message | undefined): string | null {
  const waits = message?.parts.filter(isToolUIPart).find((part) => part.state in QUESTIONS);
  return waits ? `${QUESTIONS[waits.state]} ${getToolName(waits)}` : null;
}

const QUESTIONS: Record<string, string> = {
  'approval-requested': 'Waiting for you: allow or refuse',
  'input-available': 'Waiting for you: give the result of',
};

function stopped(run: RunInfo, stoppedHere: string | null): string {
  if (stoppedHere === run.id) return 'Stopped by you, here';
  return run.stoppedBy ? `Stopped by ${run.stoppedBy}` : 'Stopped in another tab';
}

function failure(message: string | undefined): Status {
  return {
    tone: 'danger',
    text: 'The answer failed',
    detail: message || 'The provider gave up. What it wrote is kept.',
    offersRetry: true,
  };
}
