import { checkEventStream, linked, parseJson, readEvents, request } from '../net/connection.js';
import type { Prepared } from '../net/endpoint.js';
import type { SseEvent } from '../net/sse.js';
import type { RunFeed } from './activity.js';
import type { RunConnection, RunEvent } from './run-stream.js';

const RUN_HEADER = 'x-midstream-run-id';
const DONE = '[DONE]';

/**
 * Request a response that streams a run; `null` if nothing runs (204).
 *
 * @throws ConnectionLost if a retry may help, else MidstreamError.
 */
export async function openRun(
  fetch: typeof globalThis.fetch,
  prepared: Prepared,
  signal: AbortSignal,
): Promise<RunConnection | null> {
  const abort = linked(signal);
  const response = await request(fetch, prepared, abort);
  if (response.status === 204) {
    abort.abort();
    return null;
  }
  checkEventStream(response, abort);
  return {
    runId: response.headers.get(RUN_HEADER) ?? undefined,
    events: runEvents(readEvents(response, abort)),
    close: () => abort.abort(),
  };
}

async function* runEvents(events: AsyncIterable<SseEvent>): AsyncGenerator<RunEvent> {
  for await (const { id, data } of events) {
    if (data === DONE) continue; // a run ends with `finish`
    yield { sequence: id === undefined ? undefined : Number(id), chunk: parseJson(data, 'a chunk') };
  }
}

/** Read a run from the feed alone. */
export function fromFeed(feed: RunFeed, runId: string, sequence: number): RunConnection {
  return { runId, events: feed.tail(runId, sequence), close: () => {} };
}

/**
 * Read a response until the feed covers its run, then continue from the feed. The response's
 * connection is soon free for other tabs.
 *
 * @param next - the response's first sequence; `undefined` if it begins with an aggregated state.
 * @param since - the feed's mark before the request.
 */
export function handOver(
  response: RunConnection,
  feed: RunFeed,
  next: number | undefined,
  since: number,
): RunConnection {
  const { runId } = response;
  const known = next === undefined ? since : undefined;
  if (runId === undefined) return response;
  return { runId, close: () => response.close(), events: events(runId) };

  async function* events(run: string): AsyncGenerator<RunEvent> {
    let sequence = next;
    let leaving = false;
    const leave = () => {
      if (sequence === undefined || leaving || !feed.covers(run, sequence, known)) return;
      leaving = true;
      response.close();
    };
    const forget = feed.onChange(leave);
    leave();
    try {
      for await (const event of response.events) {
        if (event.sequence !== undefined) sequence = event.sequence + 1;
        yield event;
        leave();
        if (leaving) break;
      }
    } catch (error) {
      if (!leaving) throw error;
    } finally {
      forget();
    }
    if (leaving && sequence !== undefined) yield* feed.tail(run, sequence, known);
  }
}
