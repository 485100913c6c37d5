/** The order of the queue as it is shown: a move shows at once, before the gateway has it. */
import { useState } from 'react';
import type { DemoSession } from '../session/useDemoSession';
import { excerptOf, ordinal } from './words';

type Queue = DemoSession['session']['queue'];
export type Entry = Queue['entries'][number];

interface Moved {
  order: readonly string[];
  /** Moves that the gateway has not answered yet. */
  pending: number;
}

/**
 * @param refused - called with what the gateway says against a move.
 */
export function useMoving(queue: Queue, refused: (error: unknown) => void) {
  const [moved, setMoved] = useState<Moved>({ order: [], pending: 0 });
  const [said, setSaid] = useState('');
  const entries = moved.pending > 0 ? ordered(queue.entries, moved.order) : queue.entries;

  /** Move an entry to another place among all, from 0. */
  const move = (id: string, to: number) => {
    const order = entries.map((entry) => entry.id);
    const from = order.indexOf(id);
    const entry = entries[from];
    if (entry === undefined || to === from || to < 0 || to >= order.length) return;
    order.splice(from, 1);
    const before = order[to];
    order.splice(to, 0, id);
    setMoved(({ pending }) => ({ order, pending: pending + 1 }));
    setSaid(`Moved to ${ordinal(to + 1)} of ${order.length}: ${excerptOf(entry.message)}`);
    queue
      .move(id, before)
      .catch((error: unknown) => {
        setSaid('');
        refused(error);
      })
      .then(() => setMoved((now) => ({ ...now, pending: now.pending - 1 })));
  };
  return { entries, move, said };
}

function ordered(entries: readonly Entry[], order: readonly string[]): readonly Entry[] {
  const places = new Map(order.map((id, place) => [id, place]));
  const placeOf = ({ id }: Entry) => places.get(id) ?? order.length; // it has come meanwhile
  return [...entries].sort((one, other) => placeOf(one) - placeOf(other));
}
