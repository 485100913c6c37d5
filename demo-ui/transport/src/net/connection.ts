import { ConnectionLost, failureOf, MidstreamError } from '../errors.js';
import { endWithPage, untilHere } from './departure.js';
import type { Prepared } from './endpoint.js';
import { onWake } from './page.js';
import { type SseEvent, SseParser } from './sse.js';

/** The gateway sends a comment at least every 15 s. After twice that, the connection is dead. */
const LONGEST_SILENCE_MS = 35_000;

/** The limit when the page becomes visible again: its connection may have slept. */
const SILENCE_ON_WAKE_MS = 17_000;

const LOOK_EVERY_MS = 5_000;

/**
 * Yield the events of one response, until it ends, breaks, falls silent or is aborted.
 *
 * @param abort - ends the response. The generator aborts it when it ends.
 * @param heard - called for every piece that arrives, comments included.
 * @throws ConnectionLost when the response breaks.
 */
export async function* readEvents(
  response: Response,
  abort: AbortController,
  heard: () => void = () => {},
): AsyncGenerator<SseEvent, void, undefined> {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  let heardAt = Date.now();
  // A connection may die unnoticed: the laptop slept, or the network changed.
  const endIfSilent = (limit: number) => {
    if (Date.now() - heardAt >= limit) abort.abort();
  };
  const timer = setInterval(() => endIfSilent(LONGEST_SILENCE_MS), LOOK_EVERY_MS);
  // Coming online means that the network has changed. Older connections are suspect, and a
  // resume costs one request.
  const forget = onWake(isOnline => endIfSilent(isOnline ? 0 : SILENCE_ON_WAKE_MS));
  try {
    while (!abort.signal.aborted) {
      const { done, value } = await reader.read();
      if (done) return;
      heardAt = Date.now();
      heard();
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    if (abort.signal.aborted) return;
    throw new ConnectionLost(`the response broke off (${String(error)})`);
  } finally {
    clearInterval(timer);
    forget();
    abort.abort();
  }
}

/**
 * Fetch an answer with a status of 2xx. It ends when the page goes, unless it is `keepalive`.
 *
 * @param abort - ends the answer. Abort it after reading, too: that removes the page's listener.
 * @throws ConnectionLost if a retry may help, MidstreamError if the request was refused, and an
 *   abort unchanged.
 */
export async function request(
  fetch: typeof globalThis.fetch,
  { url, init }: Prepared,
  abort: AbortController,
): Promise<Response> {
  const { signal } = abort;
  if (init.keepalive !== true) {
    await untilHere(signal);
    endWithPage(abort);
  }
  let response: Response;
  try {
    // Firefox lets equal requests wait for each other, because of its cache.
    response = await fetch(url, { ...init, cache: 'no-store', signal });
  } catch (error) {
    // Browsers abort fetches when a navigation begins, which may turn out to be a download.
    const { aborted, reason } = signal;
    abort.abort();
    if (aborted && !(reason instanceof ConnectionLost)) throw error;
    throw new ConnectionLost(`no answer (${String(error)})`);
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  abort.abort();
  throw failure;
}

/** Fetch an answer's JSON; `undefined` if it is empty (204). */
export async function requestJson<T>(
  fetch: typeof globalThis.fetch,
  prepared: Prepared,
  signal?: AbortSignal,
): Promise<T> {
  const abort = linked(signal);
  try {
    const response = await request(fetch, prepared, abort);
    const text = await response.text().catch((error: unknown) => {
      throw signal?.aborted === true ? error : new ConnectionLost(`the answer broke off (${String(error)})`);
    });
    if (text === '') return undefined as T;
    return parseJson(text, 'it');
  } finally {
    abort.abort();
  }
}

/** @throws MidstreamError if it is not JSON. */
export function parseJson<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new MidstreamError('bad_response', `unable to use the answer: ${what} is not JSON`, { cause });
  }
}

/** Check that a response is an event stream, not a page of something in between; else end it. */
export function checkEventStream(response: Response, abort: AbortController): void {
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('text/event-stream')) {
    abort.abort();
    throw new MidstreamError(
      'bad_response',
      `unable to use the answer: it is ${type || 'of no type'}, not an event stream`,
      { status: response.status },
    );
  }
  if (response.body == null) {
    abort.abort();
    throw new MidstreamError(
      'bad_response',
      'unable to stream with this fetch; give the transport another one (expo/fetch)',
    );
  }
}

/** Return a controller that is aborted with `signal`, and can be aborted on its own. */
export function linked(signal: AbortSignal | undefined): AbortController {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { signal: controller.signal });
  return controller;
}
