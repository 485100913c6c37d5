/** Drags a row of a list, with a mouse, a pen or a finger. */
import { type PointerEvent, useState } from 'react';

interface Drag {
  id: string;
  from: number;
  to: number;
  startY: number;
  dy: number;
  /** The rows' middles, as the drag began. */
  middles: readonly number[];
}

/**
 * @param onDrop - called with the row, and its new place.
 */
export function useDrag(onDrop: (id: string, to: number) => void) {
  const [drag, setDrag] = useState<Drag | null>(null);
  const end = () => setDrag(null);
  const handlersOf = (id: string) => ({
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      const row = event.currentTarget.closest('li');
      const rows = [...(row?.parentElement?.querySelectorAll<HTMLElement>('li[data-queued]') ?? [])];
      if (event.button !== 0 || row === null || rows.length < 2) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      const boxes = rows.map((each) => each.getBoundingClientRect());
      const from = rows.indexOf(row);
      const middles = boxes.map(({ top, height }) => top + height / 2);
      setDrag({ id, from, to: from, startY: event.clientY, dy: 0, middles });
    },
    onPointerMove: ({ clientY }: PointerEvent<HTMLElement>) => {
      setDrag((now) => now && { ...now, dy: clientY - now.startY, to: placeOf(now, clientY) });
    },
    // By its own place: the last move may not be rendered yet, and `drag.to` be the one before it.
    onPointerUp: ({ clientY }: PointerEvent<HTMLElement>) => {
      if (drag?.id === id) {
        const to = placeOf(drag, clientY);
        if (to !== drag.from) onDrop(id, to);
      }
      end();
    },
    onPointerCancel: end,
    onLostPointerCapture: end,
  });
  return { drag, handlersOf };
}

/** Return the place of a row that was dragged here. A row is passed where the middles meet. */
function placeOf({ from, startY, middles }: Drag, y: number): number {
  const middle = (middles[from] ?? 0) + y - startY;
  const isAbove = (each: number, place: number) => (place > from ? each <= middle + 1 : each < middle - 1);
  return middles.filter((each, place) => place !== from && isAbove(each, place)).length;
}
