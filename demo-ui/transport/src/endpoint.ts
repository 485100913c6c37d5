import type { HttpChatTransportInitOptions, UIMessage } from 'ai';

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
   * A send, as `DefaultChatTransport` makes it, with a key of this send in its body: however
   * often it is repeated, the gateway starts one run.
   */
  async send(options: SendOptions<MESSAGE>, requestId: string): Promise<Prepared> {
    const { chatId: id, messages, trigger, messageId } = options;
    const common = await this.#common(options);
    const prepared = await this.#options.prepareSendMessagesRequest?.({
      ...common,
      id,
      messages,
      trigger,
      messageId,
    });
    const body = prepared?.body ?? { ...common.body, id, messages, trigger, messageId };
    return {
      url: prepared?.api ?? this.api,
      init: {
        method: 'POST',
        headers: await versioned(prepared?.headers ?? common.headers, JSON_BODY),
        body: JSON.stringify({ requestId, ...body }),
        credentials: prepared?.credentials ?? common.credentials,
      },
    };
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
    return {
      url: withQuery(prepared?.api ?? this.#of(chatId, '/stream'), [
        ['runId', runId],
        ['after', after],
      ]),
      init: {
        method: 'GET',
        headers: await versioned(prepared?.headers ?? common.headers, {}),
        credentials: prepared?.credentials ?? common.credentials,
      },
    };
  }

  /** A stop; it reaches the gateway also while the page goes away. */
  async stop(chatId: string, what: object): Promise<Prepared> {
    const { headers, credentials } = await this.#common({});
    return {
      url: this.#of(chatId, '/stop'),
      init: {
        method: 'POST',
        headers: { ...JSON_BODY, ...headers },
        body: JSON.stringify(what),
        credentials,
        keepalive: true,
      },
    };
  }

  async snapshot(chatId: string): Promise<Prepared> {
    const { headers, credentials } = await this.#common({});
    return { url: this.#of(chatId, ''), init: { headers, credentials } };
  }

  /** The feeds of several sessions in one response, each from its position, for so many tabs. */
  async follow(wanted: Iterable<[chatId: string, Followed]>): Promise<Prepared> {
    const { headers, credentials } = await this.#common({});
    const query = [...wanted].flatMap(([chatId, { position, tabs }]) => [
      ['follow', `${chatId}@${position ?? ''}`] as const,
      ['tabs', tabs > 1 ? `${chatId}@${tabs}` : undefined] as const,
    ]);
    return {
      url: withQuery(this.api, query),
      init: { headers, credentials, cache: 'no-store' },
    };
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

async function versioned(
  headers: HeaderSource | HeadersInit,
  defaults: Record<string, string>,
): Promise<Record<string, string>> {
  const version = String(await aiVersion());
  return { ...defaults, 'x-ai-sdk-version': version, ...plain(headers as HeaderSource) };
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

function withQuery(
  url: string,
  query: readonly (readonly [name: string, value: string | number | undefined])[],
): string {
  const given = query.filter(([, value]) => value !== undefined) as [string, string][];
  if (given.length === 0) return url;
  return `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams(given)}`;
}
