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

/** A request, ready for `fetch` but for its signal. */
export interface Prepared {
  url: string;
  init: RequestInit;
}

/** A session in a feed: where to go on, `null` for a snapshot first, and for how many tabs. */
export interface Followed {
  position: string | null;
  tabs: number;
}

const JSON_BODY = { 'content-type': 'application/json' };

type HeadersAndCredentials = Pick<RequestInit, 'headers' | 'credentials'>;
type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>);
type HeaderSource = Record<string, string | undefined> | Headers | [string, string][] | undefined;

/** What is asked of the gateway: addresses, headers and bodies. No waits, no retries. */
export class Endpoint<MESSAGE extends UIMessage> {
  readonly api: string;

  readonly #options: HttpChatTransportInitOptions<MESSAGE>;

  constructor(options: HttpChatTransportInitOptions<MESSAGE>) {
    this.#options = options;
    this.api = options.api ?? '/api/chat';
  }

  /** The application's fetch, else the page's own, looked up late: others may patch it. */
  get fetch(): typeof globalThis.fetch {
    return (this.#options.fetch as typeof globalThis.fetch | undefined) ?? globalThis.fetch;
  }

  /**
   * A send, as `DefaultChatTransport` makes it, but with the last message alone: the gateway has
   * the others. With a key of this send: however often it is repeated, one run is started.
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
    const init = { method: 'POST', body: JSON.stringify({ requestId, ...place, ...body }) };
    return versioned(prepared?.api ?? this.api, init, common, prepared, JSON_BODY);
  }

  /**
   * A response to take up again.
   *
   * @param after - continue with the chunk that follows this sequence; without it, the state
   *   of the whole message comes first.
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

  /** A stop; it reaches the gateway also while the page goes away. */
  stop(chatId: string, what: object): Promise<Prepared> {
    const body = JSON.stringify(what);
    return this.#plain(chatId, '/stop', { method: 'POST', body, keepalive: true }, JSON_BODY);
  }

  /** A deletion: of one message, or of all. */
  remove(chatId: string, messageId?: string): Promise<Prepared> {
    const path = messageId === undefined ? '' : `/${encodeURIComponent(messageId)}`;
    return this.#plain(chatId, `/messages${path}`, { method: 'DELETE' });
  }

  /** The session as it is; empty if there is none: browsers complain of every 404. */
  async snapshot(chatId: string): Promise<Prepared> {
    const { url, init } = await this.#plain(chatId, '');
    return { url: withQuery(url, new URLSearchParams('orEmpty=true')), init };
  }

  /** The feeds of several sessions in one response, each from its position, for so many tabs. */
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
      throw new RangeError(`unable to use the chat id ${chatId}`); // URLs normalise it away
    }
    // Before its query, and after one slash.
    return this.api.replace(
      /\/?([?#].*)?$/,
      (_, query = '') => `/${encodeURIComponent(chatId)}${path}${query}`,
    );
  }
}

/** A request whose answer is for the page's version; what the application prepared comes first. */
async function versioned(
  url: string,
  init: RequestInit,
  common: HeadersAndCredentials,
  prepared?: HeadersAndCredentials,
  defaults?: Record<string, string>,
): Promise<Prepared> {
  const own = plain((prepared?.headers ?? common.headers) as HeaderSource);
  // Errors as JSON; pages of the AI SDK's own transports get a sentence.
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
