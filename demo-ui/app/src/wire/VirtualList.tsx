import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from 'react';

/** The height of a row: larger for fingers than for a mouse. */
const ROW_PX = matchMedia('(pointer: coarse)').matches ? 44 : 26;
const OVERSCAN = 12;

interface Props {
  label: string;
  count: number;
  /** The row to keep in view as it changes. */
  focus: number;
  row: (index: number) => ReactNode;
}

/** A list of rows of equal height. Only the rows in view are rendered. */
export function VirtualList({ label, count, focus, row }: Props) {
  const area = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });

  useEffect(() => {
    const element = area.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    const top = focus * ROW_PX;
    const hidden = top < element.scrollTop || top + ROW_PX > element.scrollTop + element.clientHeight;
    if (!hidden) return;
    element.scrollTop = top - element.clientHeight + 2 * ROW_PX;
    // The event of the scroll comes after the paint: until then, no row would be in view.
    setView({ top: element.scrollTop, height: element.clientHeight });
  }, [focus]);

  const first = Math.max(0, Math.floor(view.top / ROW_PX) - OVERSCAN);
  const last = Math.min(count, Math.ceil((view.top + view.height) / ROW_PX) + OVERSCAN);
  return (
    <div ref={area} role="region" aria-label={label} tabIndex={0} className="scroll-area min-h-0 flex-1">
      <div style={{ height: count * ROW_PX, position: 'relative' }}>
        <div style={{ transform: `translateY(${first * ROW_PX}px)` }}>
          {Array.from({ length: Math.max(0, last - first) }, (_, each) => row(first + each))}
        </div>
      </div>
    </div>
  );
}
