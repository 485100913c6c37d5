/**
 * The tab's network, which the chaos bar breaks: the `fetch` that the transport is given.
 *
 * A cut ends real connections, so that the gateway notices. Offline refuses new connections. Slow
 * delays data. Everything that passes is written to the wire log.
 */
import { useSyncExternalStore } from 'react';
import { SseReader } from './sse';
import { WireLog } from './wireLog';

export interface NetworkState {
  /** When it will be online again; 0 while it is. */
  offlineUntil: number;
  slow: boolean;
}

const SLOW_REQUEST_MS = 800;
const SLOW_CHUNK_MS = 450;
const LUMP_MS = 60;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const failed = () => new TypeError('Failed to fetch');

export class Network {
  readonly log = new WireLog();
  #state: NetworkState = { offlineUntil: 0, slow: false };
  #open = new Set<AbortController>();
  #listeners = new Set<() => void>();

  get state(): NetworkState {
    return this.#state;
  }

  /** Aborts all connections at once. Returns how many there were. */
  cut(): number {
    const connections = [...this.#open];
    const { length } = connections;
    this.log.add('note', 0, length === 1 ? 'cut one connection' : `cut ${length} connections`);
    for (const connection of connections) connection.abort();
    return connections.length;
  }

  goOffline(ms: number): void {
    this.#set({ offlineUntil: Date.now() + ms });
    this.log.add('note', 0, `offline for ${ms / 1000} s`);
    this.cut();
    dispatchEvent(new Event('offline'));
    setTimeout(() => {
      this.#set({ offlineUntil: 0 });
      this.log.add('note', 0, 'online');
      dispatchEvent(new Event('online'));
    }, ms);
  }

  setSlow(slow: boolean): void {
    this.#set({ slow });
    this.log.add('note', 0, slow ? 'the network is slow' : 'the network is fast again');
  }

  fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const connection = this.log.nextConnection();
    const path = shortPath(request.url);
    this.log.add('request', connection, `${request.method} ${path}`);
    if (this.#state.offlineUntil > 0) {
      this.log.add('failure', connection, 'no network');
      throw failed();
    }
    if (this.#state.slow) await pause(SLOW_REQUEST_MS);
    const cutter = new AbortController();
    this.#open.add(cutter);
    try {
      const signal = AbortSignal.any([request.signal, cutter.signal]);
      const response = await fetch(request, { signal });
      this.log.add('answer', connection, `${response.status} ${path}`, headersOf(response));
      if (response.body === null || !isStream(response)) {
        this.#open.delete(cutter);
        return response;
      }
      return new Response(this.#carry(response.body, connection, cutter), response);
    } catch (error) {
      this.#open.delete(cutter);
      const cut = cutter.signal.aborted;
      this.log.add(cut ? 'cut' : 'failure', connection, cut ? 'cut' : String(error));
      throw cut ? failed() : error;
    }
  };

  #carry(
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
    connection: number,
    cutter: AbortController,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    const reader = body.getReader();
    const tap = new Tap(this.log, connection);
    let lumpAt = 0;
    const close = () => this.#open.delete(cutter);
    return new ReadableStream({
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (done) {
            close();
            this.log.add('end', connection, 'the response has ended');
            controller.close();
            return;
          }
          if (this.#state.slow && Date.now() - lumpAt > LUMP_MS) {
            // Data that arrives meanwhile passes right after it, in one burst.
            await pause(SLOW_CHUNK_MS);
            lumpAt = Date.now();
          }
          tap.read(value);
          controller.enqueue(value);
        } catch (error) {
          close();
          const cut = cutter.signal.aborted;
          this.log.add(cut ? 'cut' : 'failure', connection, cut ? 'cut' : String(error));
          controller.error(cut ? new TypeError('network error') : error);
        }
      },
      cancel: async (reason) => {
        close();
        this.log.add('end', connection, 'closed by this tab');
        await reader.cancel(reason);
      },
    });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #set(change: Partial<NetworkState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

/** Reads a response's bytes into the log, and leaves them unchanged. */
class Tap {
  #decoder = new TextDecoder();
  #sse = new SseReader();

  constructor(
    private readonly log: WireLog,
    private readonly connection: number,
  ) {}

  read(bytes: Uint8Array): void {
    for (const item of this.#sse.push(this.#decoder.decode(bytes, { stream: true }))) {
      if (item.kind === 'comment') this.log.add('heartbeat', this.connection, 'heartbeat');
      else {
        // The positions of a feed begin with its session and epoch, which are always the same.
        const id = item.id === null ? '' : ` ${item.id.split(/[ :]/).at(-1)}`;
        this.log.add('chunk', this.connection, `${labelOf(item.name, item.data)}${id}`, item.data);
      }
    }
  }
}

function labelOf(event: string, data: string): string {
  if (event !== 'message') return event;
  return /^\{"type":"([^"]+)"/.exec(data)?.[1] ?? data.slice(0, 24);
}

function isStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}

function shortPath(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname.replace(/^\/api/, '') + search;
}

function headersOf(response: Response): string {
  return Array.from(response.headers, ([name, value]) => `${name}: ${value}`).join('\n');
}

export const network = new Network();

// `navigator.onLine` agrees with this network.
const { get: isOnline } = Object.getOwnPropertyDescriptor(Navigator.prototype, 'onLine')!;
Object.defineProperty(navigator, 'onLine', {
  get: () => network.state.offlineUntil === 0 && (isOnline!.call(navigator) as boolean),
});

export function useNetwork(): NetworkState {
  return useSyncExternalStore(network.subscribe, () => network.state);
}
