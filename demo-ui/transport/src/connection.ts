import type { Prepared } from './endpoint.js';
import { ConnectionLost, isAbortError, MidstreamError } from './errors.js';
import { onWake } from './retry.js';
import { type SseEvent, SseParser } from './sse.js';

/** The gateway sends a comment every 15 s at least: after twice that, nothing will come. */
const LONGEST_SILENCE_MS = 35_000;

/** A page that is looked at again does not wait as long for a connection that slept. */
const SILENCE_ON_WAKE_MS = 17_000;

const LOOK_EVERY_MS = 5_000;

/**
 * One response of server-sent events, until it ends, breaks or falls silent.
 *
 * Iterating ends when the response does, or after `close()`; it throws `ConnectionLost` when
 * the response breaks.
 */
export class EventConnection implements AsyncIterable<SseEvent> {
  #heardAt = Date.now();

  readonly #response: Response;
  readonly #abort: AbortController;
  readonly #heard: () => void;

  constructor(
    response: Response,
    abort: AbortController,
    heard: () => void = () => {},
  ) {
    this.#response = response;
    this.#abort = abort;
    this.#heard = heard;
  }

  close(): void {
    this.#abort.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SseEvent, void, undefined> {
    const reader = (this.#response.body as ReadableStream<Uint8Array>).getReader();
    const stopWatching = this.#watch();
    const decoder = new TextDecoder();
    const parser = new SseParser();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.#heardAt = Date.now();
        this.#heard();
        yield* parser.push(decoder.decode(value, { stream: true }));
        if (this.#abort.signal.aborted) return;
      }
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      throw new ConnectionLost(`the response broke off (${String(error)})`);
    } finally {
      stopWatching();
      this.#abort.abort();
    }
  }

  /** Close a connection that has died without a word: a laptop that slept, a changed network. */
  #watch(): () => void {
    const closeIfSilent = (limit: number) => {
      if (Date.now() - this.#heardAt >= limit) this.close();
    };
    const timer = setInterval(() => closeIfSilent(LONGEST_SILENCE_MS), LOOK_EVERY_MS);
    // Coming online means that the network has changed: connections made before are suspect,
    // and taking up again costs one request.
    const forget = onWake(isOnline => closeIfSilent(isOnline ? 0 : SILENCE_ON_WAKE_MS));
    return () => {
      clearInterval(timer);
      forget();
    };
  }
}

/** Fetch, with failures of the network as `ConnectionLost`, and aborts as they are. */
export async function request(
  fetch: typeof globalThis.fetch,
  { url, init }: Prepared,
  signal?: AbortSignal,
): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal });
  } catch (error) {
    if (signal?.aborted === true || isAbortError(error)) throw error;
    throw new ConnectionLost(`no answer (${String(error)})`);
  }
}

/** Make sure that a response is a stream of events, not a page of something in between. */
export function checkEventStream(response: Response): void {
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('text/event-stream')) {
    throw new MidstreamError(
      'bad_response',
      `unable to use the answer: it is ${type || 'of no type'}, not an event stream`,
      { status: response.status },
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
