import { ConnectionLost, failureOf, MidstreamError } from '../errors.js';
import { endWithPage, untilHere } from './departure.js';
import type { Prepared } from './endpoint.js';
import { onWake } from './page.js';
import { type SseEvent, SseParser } from './sse.js';

/** The gateway sends a comment every 15 s at least: after twice that, nothing will come. */
const LONGEST_SILENCE_MS = 35_000;

/** A page that is looked at again does not wait as long for a connection that slept. */
const SILENCE_ON_WAKE_MS = 17_000;

const LOOK_EVERY_MS = 5_000;

/**
 * The events of one response, until it ends, breaks, falls silent or is aborted.
 *
 * @param abort - ends the response; the generator's own end does too.
 * @param heard - told of every sign of life.
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
  // It may have died without a word: a laptop that slept, a changed network.
  const endIfSilent = (limit: number) => {
    if (Date.now() - heardAt >= limit) abort.abort();
  };
  const timer = setInterval(() => endIfSilent(LONGEST_SILENCE_MS), LOOK_EVERY_MS);
  // Coming online means that the network has changed: connections made before are suspect,
  // and taking up again costs one request.
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
 * Fetch an answer that is 2xx. It ends with the page, unless it is kept alive.
 *
 * @param abort - ends the answer; whoever has read it calls it, to let go of the page.
 * @throws ConnectionLost if asking again may help, MidstreamError if it was refused; an abort as
 *   it is.
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
    // Firefox has requests that are equal wait for each other, for its cache.
    response = await fetch(url, { ...init, cache: 'no-store', signal });
  } catch (error) {
    // Browsers abort fetches too: at the beginning of a navigation, which may be a download.
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

/** The JSON of such an answer; `undefined` where there is none (204). */
export async function requestJson<T>(
  fetch: typeof globalThis.fetch,
  prepared: Prepared,
  signal?: AbortSignal,
): Promise<T> {
  const abort = linked(signal);
  try {
    const response = await request(fetch, prepared, abort);
    const text = await response.text().catch((error: unknown) => {
      throw signal?.aborted === true ? error : new ConnectionLost(`half an answer (${String(error)})`);
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

/** Make sure that a response is a stream of events, not a page of something in between; else end it. */
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

/** Return a controller that is aborted with `signal`, and can be aborted without it. */
export function linked(signal: AbortSignal | undefined): AbortController {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort, { signal: controller.signal });
  return controller;
}
