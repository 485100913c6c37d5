/** The note of an incident. It shows from the incident's begin until a while after its end. */
import { useEffect, useRef, useState } from 'react';
import type { Circumstances, Note } from './incidents';

const LOOK_EVERY_MS = 250;
/** Time to read the last text. */
const LINGER_MS = 7000;

export function useNote(now: Omit<Circumstances, 'ageMs'>): [string, (note: Note | null) => void] {
  const [note, setNote] = useState<Note | null>(null);
  const [over, setOver] = useState(false);
  const latest = useRef(now);
  latest.current = now;

  const say = (next: Note | null) => {
    setOver(false);
    setNote(next);
  };
  useEffect(() => {
    if (note === null) return;
    const since = Date.now();
    let overAt = 0;
    const timer = setInterval(() => {
      const at = Date.now();
      if (overAt === 0 && note.isOver({ ...latest.current, ageMs: at - since })) {
        overAt = at;
        setOver(true);
      }
      if (overAt > 0 && (note.after === '' || at - overAt > LINGER_MS)) setNote(null);
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [note]);
  if (note === null) return ['', say];
  return [over ? note.after : note.text, say];
}
