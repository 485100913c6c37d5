/** The scrubber's place: at the end and live, or in the past, paused or playing. */
import { useEffect, useRef, useState } from 'react';
import type { LogRecord } from './records';

const LONGEST_PAUSE_MS = 700;

export interface Replay {
  /** The index of the record that is shown as the newest. */
  index: number;
  live: boolean;
  playing: boolean;
  seek: (index: number) => void;
  toggle: () => void;
}

export function useReplay(records: readonly LogRecord[]): Replay {
  const end = records.length - 1;
  const [at, setAt] = useState<number | null>(null);
  const [playing, setPlaying] = useState(false);
  const latest = useRef(records);
  latest.current = records;
  const index = Math.min(at ?? end, end);

  useEffect(() => {
    if (!playing || at === null) return;
    const here = latest.current[at];
    const next = latest.current[at + 1];
    if (!next) {
      setPlaying(false);
      setAt(null);
      return;
    }
    const wait = Math.min(Math.max(next.at - (here?.at ?? next.at), 0), LONGEST_PAUSE_MS);
    const timer = setTimeout(() => setAt(at + 1), wait);
    return () => clearTimeout(timer);
  }, [playing, at]);

  return {
    index,
    live: at === null,
    playing,
    seek: (to) => {
      setPlaying(false);
      setAt(to >= end ? null : to);
    },
    toggle: () => {
      if (!playing && at === null) setAt(0);
      setPlaying(!playing);
    },
  };
}
