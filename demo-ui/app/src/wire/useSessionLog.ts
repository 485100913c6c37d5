/** Follows a session's log from its first record, while the log is shown. */
import { useEffect, useState } from 'react';
import { SseReader } from '../network/sse';
import { heartbeatRecord, linkRecord, recordOf, type LogRecord } from './records';

const SHOW_EVERY_MS = 80;
const RETRY_MS = 1000;

export function useSessionLog(sessionId: string): readonly LogRecord[] {
  const [shown, setShown] = useState<readonly LogRecord[]>([]);
  useEffect(() => {
    const reader = new LogFollower(sessionId);
    // Firefox keeps the connections of a page that has gone, unless the page ends them.
    const over = new AbortController();
    addEventListener('pagehide', () => reader.stop(), { signal: over.signal });
    addEventListener('pageshow', () => reader.start(), { signal: over.signal });
    reader.start();
    let count = -1;
    const timer = setInterval(() => {
      if (reader.records.length === count) return;
      count = reader.records.length;
      setShown(reader.records.slice());
    }, SHOW_EVERY_MS);
    return () => {
      over.abort();
      reader.stop();
      clearInterval(timer);
      setShown([]);
    };
  }, [sessionId]);
  return shown;
}

class LogFollower {
  readonly records: LogRecord[] = [];
  /** The position to continue from: that of the last record. */
  #position = '';
  #epoch = '';

  #reading: AbortController | undefined;

  constructor(private readonly sessionId: string) {}

  start(): void {
    if (this.#reading !== undefined) return;
    this.#reading = new AbortController();
    void this.#run(this.#reading.signal);
  }

  stop(): void {
    this.#reading?.abort();
    this.#reading = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const restarted = await this.#follow(signal).catch(() => false);
      if (signal.aborted) return;
      if (restarted) continue;
      this.records.push(linkRecord('connection lost'));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Reads until the connection ends. Returns true to start again at the log's first record. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const after = this.#position ? `&after=${encodeURIComponent(this.#position)}` : '';
    // A reader of the log does not count as one of the session's tabs.
    const path = `/api/chat/${encodeURIComponent(this.sessionId)}/events?present=false${after}`;
    const response = await fetch(path, { signal, cache: 'no-store' });
    if (!response.ok || !response.body) return false;
    if (this.records.at(-1)?.kind === 'link') this.records.push(linkRecord(`connected${after && ', after the last position'}`));
    const sse = new SseReader();
    // Some versions of WebKit cannot iterate over a stream.
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      for (const item of sse.push(value)) {
        if (item.kind === 'comment') {
          if (this.records.length > 0) this.records.push(heartbeatRecord());
          continue;
        }
        const epoch = item.id?.split(':')[0] ?? '';
        if (item.name === 'snapshot' && epoch !== '' && epoch !== this.#epoch) {
          this.#epoch = epoch;
          this.#position = `${epoch}:0-0`;
          return true;
        }
        this.#position = item.id ?? this.#position;
        this.records.push(recordOf(item));
      }
    }
  }
}
