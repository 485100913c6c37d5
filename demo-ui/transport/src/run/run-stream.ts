import type { UIMessageChunk } from 'ai';

import { abortError, ConnectionLost, MidstreamError } from '../errors.js';
import { linked } from '../net/connection.js';
import { isOffline } from '../net/page.js';
import { pause, waitBefore, WORKED_MS } from '../net/retry.js';

/** Consecutive failures after which a response is given up: about ten minutes. */
const MAX_FAILURES = 70;

/** A chunk and its sequence in the run. In an aggregated state only the last chunk has one. */
export interface RunEvent {
  sequence: number | undefined;
  chunk: UIMessageChunk;
}

/** A source of a run's chunks: a response, or the feed. Throws `ConnectionLost` if it breaks. */
export interface RunConnection {
  readonly runId: string | undefined;
  readonly events: AsyncIterable<RunEvent>;
  close(): void;
}

/** The progress of a response: enough to resume it on another connection. */
export interface Cursor {
  runId: string | undefined;
  /** The sequence of the last chunk delivered. */
  last: number | undefined;
}

export interface RunStreamOptions {
  /** The first connection, already open. */
  first: RunConnection;
  /** Open another connection; `null` if the run can no longer be read. */
  connect: (cursor: Cursor, signal: AbortSignal) => Promise<RunConnection | null>;
  signal: AbortSignal;
  /** Called with the id of the message that the run writes. */
  onMessage?: (id: string) => void;
  /** Called with the number of attempts that failed since the connection last worked. */
  onFailures?: (failures: number) => void;
  /** Called when the stream has ended: after the last chunk, with an error, or cancelled. */
  onEnd?: (how: { finished: boolean; error?: unknown }) => void;
  random?: () => number;
}

/**
 * Stream a run's chunks over any number of connections: each chunk once, in order.
 *
 * The stream ends after `finish`. It fails with an AbortError if the run was stopped elsewhere, or
 * `signal` is aborted: only after that error does a chat record a stop and send nothing by itself.
 * Chunks are pulled, never pushed, so that a failure cannot overtake them.
 */
export function runStream(options: RunStreamOptions): ReadableStream<UIMessageChunk> {
  const quit = linked(options.signal);
  const chunks = follow(options, quit.signal);
  let finished = false;
  let ended = false;
  const end = (error?: unknown) => {
    quit.abort();
    // Also if nothing was pulled, or everything was read.
    options.first.close();
    void chunks.return();
    if (!ended) options.onEnd?.({ finished, error });
    ended = true;
  };
  return new ReadableStream<UIMessageChunk>(
    {
      async pull(controller) {
        try {
          const { done, value } = await untilAborted(chunks.next(), quit.signal);
          if (done) {
            controller.close();
            end();
            return;
          }
          if (value.type === 'start' && value.messageId) options.onMessage?.(value.messageId);
          finished ||= value.type === 'finish' || value.type === 'error';
          controller.enqueue(value);
        } catch (error) {
          controller.error(error);
          end(error);
        }
      },
      cancel() {
        end();
      },
    },
    { highWaterMark: 0 },
  );
}

async function* follow(
  options: RunStreamOptions,
  signal: AbortSignal,
): AsyncGenerator<UIMessageChunk, void, undefined> {
  const cursor: Cursor = { runId: options.first.runId, last: undefined };
  let connection: RunConnection | null = options.first;
  let failures = 0;
  let begunAt = Date.now();
  let aborted = false;
  const closeAll = () => connection?.close();
  signal.addEventListener('abort', closeAll);
  try {
    for (;;) {
      try {
        begunAt = connection === null ? Date.now() : begunAt;
        connection ??= await options.connect(cursor, signal);
        if (connection === null) throw notContinued('not_recovered', 'the answer has ended', false);
        cursor.runId ??= connection.runId;
        for await (const chunk of inOrder(connection.events, cursor)) {
          if (failures > 0) options.onFailures?.((failures = 0));
          aborted ||= chunk.type === 'abort';
          yield chunk;
          if (chunk.type === 'finish') {
            if (aborted) throw abortError();
            return;
          }
        }
      } catch (error) {
        if (signal.aborted) throw abortError();
        if (!(error instanceof ConnectionLost)) throw error;
        await pause(error.retryAfterMs, signal);
      } finally {
        connection?.close();
        connection = null;
      }
      if (signal.aborted) throw abortError();
      if (!isOffline() && failures >= MAX_FAILURES) {
        throw notContinued('connection_lost', 'the gateway cannot be reached', true);
      }
      options.onFailures?.(++failures);
      const worked = Date.now() - begunAt >= WORKED_MS;
      await pause(waitBefore(worked ? failures : failures + 1, options.random), signal);
    }
  } finally {
    signal.removeEventListener('abort', closeAll);
  }
}

/**
 * Yield a connection's chunks that were not delivered before, and advance the cursor.
 *
 * An aggregated state is delivered whole or not at all: only its last chunk has a sequence, so a
 * part of it could not be resumed. The gateway's own failures (`error`, `finish`) and notes (transient
 * data) have no sequence either, and are delivered at once: failures after what is held.
 */
async function* inOrder(
  events: AsyncIterable<RunEvent>,
  cursor: Cursor,
): AsyncGenerator<UIMessageChunk, void, undefined> {
  let held: UIMessageChunk[] = [];
  for await (const { sequence, chunk } of events) {
    if (sequence === undefined && chunk.type !== 'error' && chunk.type !== 'finish') {
      if ('transient' in chunk) yield chunk;
      else held.push(chunk);
      continue;
    }
    if (sequence !== undefined) {
      if (cursor.last !== undefined && sequence <= cursor.last) continue;
      cursor.last = sequence;
    }
    yield* held;
    held = [];
    yield chunk;
  }
}

function notContinued(code: string, why: string, temporary: boolean): MidstreamError {
  return new MidstreamError(code, `unable to continue; ${why}. Load the session again`, { temporary });
}

/** Wait for a promise; reject as soon as the signal is aborted. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(abortError());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
