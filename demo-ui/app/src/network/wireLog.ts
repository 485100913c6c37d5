/** The log of this tab's connections: requests, answers, chunks, heartbeats, cuts. */
import { useSyncExternalStore } from 'react';

export type WireKind =
  | 'request'
  | 'answer'
  | 'chunk'
  | 'heartbeat'
  | 'end'
  | 'cut'
  | 'failure'
  | 'note';

export interface WireEntry {
  at: number;
  kind: WireKind;
  /** The connection's number in this tab; 0 for an entry without one. */
  connection: number;
  label: string;
  detail: string;
}

const LIMIT = 4000;

export class WireLog {
  #entries: WireEntry[] = [];
  #shown: readonly WireEntry[] = [];
  #listeners = new Set<() => void>();
  #scheduled = false;
  #connections = 0;

  nextConnection(): number {
    return ++this.#connections;
  }

  add(kind: WireKind, connection: number, label: string, detail = ''): void {
    this.#entries.push({ at: Date.now(), kind, connection, label, detail });
    if (this.#entries.length > LIMIT) this.#entries.splice(0, LIMIT / 4);
    if (this.#scheduled || this.#listeners.size === 0) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      for (const listener of this.#listeners) listener();
    }, 60);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  snapshot = (): readonly WireEntry[] => {
    const last = this.#entries.at(-1);
    if (this.#shown.length !== this.#entries.length || this.#shown.at(-1) !== last) {
      this.#shown = this.#entries.slice();
    }
    return this.#shown;
  };
}

export function useWireLog(log: WireLog): readonly WireEntry[] {
  return useSyncExternalStore(log.subscribe, log.snapshot);
}
