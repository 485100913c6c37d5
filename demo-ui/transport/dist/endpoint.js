import { aiVersion } from './version.js';
/** What is asked of the gateway: addresses, headers and bodies. No waits, no retries. */
export class Endpoint {
    options;
    api;
    constructor(options) {
        this.options = options;
        this.api = options.api ?? '/api/chat';
    }
    /** The application's fetch, else the page's own, looked up late: others may patch it. */
    get fetch() {
        return this.options.fetch ?? globalThis.fetch;
    }
    /**
     * A send, as `DefaultChatTransport` makes it, with a key of this send in its body: however
     * often it is repeated, the gateway starts one run.
     */
    async send(options, requestId) {
        const { chatId: id, messages, trigger, messageId } = options;
        const common = await this.common(options);
        const prepared = await this.options.prepareSendMessagesRequest?.({
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
                headers: await versioned(prepared?.headers ?? common.headers, {
                    'content-type': 'application/json',
                }),
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
    async resume(chatId, options, runId, after) {
        const common = await this.common(options);
        const prepared = await this.options.prepareReconnectToStreamRequest?.({ ...common, id: chatId });
        return {
            url: withQuery(prepared?.api ?? this.of(chatId, '/stream'), { runId, after }),
            init: {
                method: 'GET',
                headers: await versioned(prepared?.headers ?? common.headers, {}),
                credentials: prepared?.credentials ?? common.credentials,
            },
        };
    }
    /** A stop; it reaches the gateway also while the page goes away. */
    async stop(chatId, what) {
        const { headers, credentials } = await this.common({});
        return {
            url: this.of(chatId, '/stop'),
            init: {
                method: 'POST',
                headers: { 'content-type': 'application/json', ...headers },
                body: JSON.stringify(what),
                credentials,
                keepalive: true,
            },
        };
    }
    async snapshot(chatId) {
        const { headers, credentials } = await this.common({});
        return { url: this.of(chatId, ''), init: { headers, credentials } };
    }
    /** The feeds of several sessions in one response, each from its position. */
    async follow(positions) {
        const { headers, credentials } = await this.common({});
        const query = [...positions].map(([chatId, position]) => `follow=${encodeURIComponent(`${chatId}@${position ?? ''}`)}`);
        return {
            url: `${this.api}${this.api.includes('?') ? '&' : '?'}${query.join('&')}`,
            init: { headers, credentials, cache: 'no-store' },
        };
    }
    async common(options) {
        const [body, headers, credentials] = await Promise.all([
            resolve(this.options.body),
            resolve(this.options.headers),
            resolve(this.options.credentials),
        ]);
        return {
            api: this.api,
            body: { ...body, ...options.body },
            headers: { ...plain(headers), ...plain(options.headers) },
            credentials,
            requestMetadata: options.metadata,
        };
    }
    of(chatId, path) {
        if (chatId === '.' || chatId === '..') {
            throw new RangeError('a chat id must not be "." or ".."'); // URLs normalise them away
        }
        const [base = '', query] = split(this.api);
        return `${base.replace(/\/$/, '')}/${encodeURIComponent(chatId)}${path}${query}`;
    }
}
async function versioned(headers, defaults) {
    const version = String(await aiVersion());
    return { ...defaults, 'x-ai-sdk-version': version, ...plain(headers) };
}
function plain(headers) {
    if (headers === undefined)
        return {};
    const entries = headers instanceof Headers || Array.isArray(headers) ? headers : Object.entries(headers);
    const result = {};
    for (const [name, value] of entries) {
        if (value !== undefined)
            result[name.toLowerCase()] = value;
    }
    return result;
}
async function resolve(value) {
    return typeof value === 'function' ? value() : value;
}
/** Split an address before its query. */
function split(api) {
    const at = api.search(/[?#]/);
    return at < 0 ? [api, ''] : [api.slice(0, at), api.slice(at)];
}
function withQuery(url, query) {
    const [base, rest] = split(url);
    const parameters = new URLSearchParams(rest);
    for (const [name, value] of Object.entries(query)) {
        if (value !== undefined)
            parameters.set(name, String(value));
    }
    const text = parameters.toString();
    return text === '' ? base : `${base}?${text}`;
}
