import type { UIMessageChunk } from 'ai';

import { ConnectionLost } from '../errors.js';
import type { RunFeed } from '../run/activity.js';
import type { RunEvent } from '../run/run-stream.js';
import type { RunInfo } from './session-model.js';

export interface ChunksEvent {
  runId: string;
  /** The sequence of the first chunk. */
  first: number;
  chunks: UIMessageChunk[];
}

/** The newest run of a session, as far as its feed has delivered it. */
export class RunBuffer implements RunFeed {
  /** The newest chunk. The session's phase is derived from it. */
  newest: UIMessageChunk | undefined;
  #runId: string | undefined;
  /** The sequence of the first chunk here; `undefined` for a run joined half-way, until one comes. */
  #first: number | undefined = 0;
  #chunks: UIMessageChunk[] = [];
  #open = false;
  #continues = false;
  #generation = 0;
  readonly #listeners = new Set<() => void>();

  mark(): number {
    return this.#generation;
  }

  covers(runId: string, sequence: number, since?: number): boolean {
    if (this.#runId !== runId) return false;
    // A run that was joined half-way: every chunk after the snapshot will come here.
    if (this.#first === undefined) return since === this.#generation;
    return this.#first <= sequence && sequence <= this.#next;
  }

  whole(): string | undefined {
    return this.#open && !this.#continues && this.#first === 0 ? this.#runId : undefined;
  }

  async *tail(runId: string, sequence: number, since?: number): AsyncGenerator<RunEvent, void, undefined> {
    const generation = this.#generation;
    for (;;) {
      if (this.#generation !== generation || !this.covers(runId, sequence, since)) {
        throw new ConnectionLost('the feed began again');
      }
      while (this.#first !== undefined && sequence < this.#next) {
        const chunk = this.#chunks[sequence - this.#first] as UIMessageChunk;
        yield { sequence: sequence++, chunk };
        if (this.#generation !== generation) break;
      }
      if (this.#generation === generation && (this.#first === undefined || sequence === this.#next)) {
        if (!this.#open) return;
        await this.#change();
      }
    }
  }

  onChange(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  /** Take a run's record. The record that opens a run comes before its first chunks. */
  update(run: RunInfo): void {
    if (run.id !== this.#runId && run.state === 'open') this.#begin(run.id, 0);
    if (run.id === this.#runId) {
      this.#open = run.state !== 'ended';
      this.#continues = run.continues === true;
    }
    this.#tell();
  }

  append({ runId, first, chunks }: ChunksEvent): void {
    if (runId === this.#runId) this.#first ??= first;
    if (runId !== this.#runId || first > this.#next) {
      this.#begin(runId, first);
      this.#open = true;
    }
    const fresh = chunks.slice(Math.max(0, this.#next - first));
    for (const chunk of fresh) this.#chunks.push(chunk);
    this.newest = fresh.at(-1) ?? this.newest;
    this.#tell();
  }

  /**
   * Forget everything: the next chunks may not follow the last ones.
   *
   * @param met - the open run, which is joined half-way.
   */
  reset(met: RunInfo | undefined): void {
    this.#begin(met?.id, undefined);
    this.#open = met !== undefined;
    this.#continues = met?.continues === true;
    this.#tell();
  }

  get #next(): number {
    return (this.#first ?? 0) + this.#chunks.length;
  }

  #begin(runId: string | undefined, first: number | undefined): void {
    this.#generation += 1;
    if (runId !== this.#runId) this.#continues = false;
    this.#runId = runId;
    this.#first = first;
    this.#chunks = [];
    this.newest = undefined;
  }

  #change(): Promise<void> {
    return new Promise(resolve => {
      const forget = this.onChange(() => {
        forget();
        resolve();
      });
    });
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
