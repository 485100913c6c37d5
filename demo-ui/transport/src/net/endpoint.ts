import type { HttpChatTransportInitOptions, UIMessage } from 'ai';

import type { Place } from './place.js';
import { aiVersion } from './version.js';

export interface RequestOptions {
  headers?: Record<string, string> | Headers;
  body?: object;
  metadata?: unknown;
}

export interface SendOptions<MESSAGE extends UIMessage> extends RequestOptions {
  trigger: 'submit-message' | 'regenerate-message';
  chatId: string;
  messageId: string | undefined;
  messages: MESSAGE[];
}

/** The arguments of a `fetch`, without its signal. */
export interface Prepared {
  url: string;
  init: RequestInit;
}

/** A session in a feed: the position to continue from, `null` for a snapshot, and its tabs. */
export interface Followed {
  position: string | null;
  tabs: number;
}

const JSON_BODY = { 'content-type': 'application/json' };

type HeadersAndCredentials = Pick<RequestInit, 'headers' | 'credentials'>;
type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>);
type HeaderSource = Record<string, string | undefined> | Headers | [string, string][] | undefined;

/** Builds the gateway's requests: addresses, headers and bodies. It sends none. */
export class Endpoint<MESSAGE extends UIMessage> {
  readonly api: string;

  readonly #options: HttpChatTransportInitOptions<MESSAGE>;

  constructor(options: HttpChatTransportInitOptions<MESSAGE>) {
    this.#options = options;
    this.api = options.api ?? '/api/chat';
  }

  /** The application's `fetch`, or the page's: read for each request, as others may patch it. */
  get fetch(): typeof globalThis.fetch {
    return (this.#options.fetch as typeof globalThis.fetch | undefined) ?? globalThis.fetch;
  }

  /**
   * Build a send as `DefaultChatTransport` does, but with the last message alone: the gateway has
   * the others. `requestId` is the same in every retry, so that only one run is started.
   */
  async send(
    options: SendOptions<MESSAGE>,
    requestId: string,
    place: Place,
  ): Promise<Prepared> {
    const { chatId: id, messages, trigger, messageId } = options;
    const common = await this.#common(options);
    const prepared = await this.#options.prepareSendMessagesRequest?.({
      ...common,
      id,
      messages,
      trigger,
      messageId,
    });
    const message = messages.at(-1);
    const body = prepared?.body ?? { ...common.body, id, message, trigger, messageId };
    // What the call says comes last: the application's options are about all its sends.
    const queued = place.onActive && place;
    const init = { method: 'POST', body: JSON.stringify({ requestId, ...place, ...body, ...queued }) };
    const defaults = queued ? { ...JSON_BODY, prefer: 'respond-async' } : JSON_BODY;
    return versioned(prepared?.api ?? this.api, init, common, prepared, defaults);
  }

  /**
   * Build a resume.
   *
   * @param after - the sequence to continue after; without it, the aggregated state of the
   *   message comes first.
   */
  async resume(
    chatId: string,
    options: RequestOptions,
    runId: string | undefined,
    after: number | undefined,
  ): Promise<Prepared> {
    const common = await this.#common(options);
    const prepared = await this.#options.prepareReconnectToStreamRequest?.({ ...common, id: chatId });
    const query = new URLSearchParams();
    if (runId !== undefined) query.append('runId', runId);
    if (after !== undefined) query.append('after', `${after}`);
    const url = withQuery(prepared?.api ?? this.#of(chatId, '/stream'), query);
    return versioned(url, {}, common, prepared);
  }

  /** Build a change of the session. With `keepalive` it reaches the gateway even while the page goes. */
  change(chatId: string, method: string, path: string, change?: object, keepalive?: boolean): Promise<Prepared> {
    return this.#plain(chatId, path, { method, body: JSON.stringify(change), keepalive }, JSON_BODY);
  }

  /** Build a read of the session; empty if there is none, as browsers log every 404. */
  async snapshot(chatId: string): Promise<Prepared> {
    const { url, init } = await this.#plain(chatId, '');
    return { url: withQuery(url, new URLSearchParams('orEmpty=true')), init };
  }

  /** Build a read of several sessions' feeds in one response, each from its position. */
  async follow(wanted: Iterable<[chatId: string, Followed]>): Promise<Prepared> {
    const query = new URLSearchParams();
    for (const [chatId, { position, tabs }] of wanted) {
      query.append('follow', `${chatId}@${position ?? ''}`);
      if (tabs > 1) query.append('tabs', `${chatId}@${tabs}`);
    }
    const { headers, credentials } = await this.#common({});
    return { url: withQuery(this.api, query), init: { headers, credentials } };
  }

  async #plain(chatId: string, path: string, init?: RequestInit, defaults?: object) {
    const { headers, credentials } = await this.#common({});
    const all = { ...defaults, ...headers };
    return { url: this.#of(chatId, path), init: { ...init, headers: all, credentials } };
  }

  async #common(options: RequestOptions) {
    const { body, headers, credentials } = this.#options;
    return {
      api: this.api,
      body: { ...(await resolve(body)), ...options.body },
      headers: { ...plain(await resolve(headers)), ...plain(options.headers) },
      credentials: await resolve(credentials),
      requestMetadata: options.metadata,
    };
  }

  #of(chatId: string, path: string): string {
    if (chatId === '.' || chatId === '..') {
      throw new RangeError(`unable to use the chat id ${chatId}`); // URLs drop it
    }
    // Insert the path before the query, and after one slash.
    return this.api.replace(
      /\/?([?#].*)?$/,
      (_, query = '') => `/${encodeURIComponent(chatId)}${path}${query}`,
    );
  }
}

/** Add the AI SDK's version to a request. What the application has prepared wins. */
async function versioned(
  url: string,
  init: RequestInit,
  common: HeadersAndCredentials,
  prepared?: HeadersAndCredentials,
  defaults?: Record<string, string>,
): Promise<Prepared> {
  const own = plain((prepared?.headers ?? common.headers) as HeaderSource);
  // Errors come as JSON. The AI SDK's own transports get a sentence.
  const headers = { accept: 'application/json', ...defaults, 'x-ai-sdk-version': `${await aiVersion()}`, ...own };
  const credentials = prepared?.credentials ?? common.credentials;
  return { url, init: { ...init, headers, credentials } };
}

function plain(headers: HeaderSource): Record<string, string> {
  const isList = headers instanceof Headers || Array.isArray(headers);
  const entries = isList ? [...headers] : Object.entries(headers ?? {});
  const given = entries.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(new Headers(given));
}

function resolve<T>(value: Resolvable<T> | undefined): T | PromiseLike<T> | undefined {
  return typeof value === 'function' ? (value as () => T | PromiseLike<T>)() : value;
}

function withQuery(url: string, query: URLSearchParams): string {
  if (`${query}` === '') return url;
  return `${url}${url.includes('?') ? '&' : '?'}${query}`;
}
