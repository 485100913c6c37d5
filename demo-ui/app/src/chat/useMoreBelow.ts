/** Tells whether a scrolled area has more content below, with a function that scrolls to it. */
import { useEffect, useState, type RefObject } from 'react';

const NEAR_PX = 24;

export function useMoreBelow(area: RefObject<HTMLElement | null>, enabled: boolean): [boolean, () => void] {
  const [more, setMore] = useState(false);
  useEffect(() => {
    const element = area.current;
    if (!enabled || !element) {
      setMore(false);
      return;
    }
    const look = () =>
      setMore(element.scrollHeight - element.scrollTop - element.clientHeight > NEAR_PX);
    const observer = new ResizeObserver(look);
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    element.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', look);
    };
  }, [area, enabled]);
  const onward = () => area.current?.scrollBy({ top: area.current.clientHeight * 0.8, behavior: 'smooth' });
  return [more, onward];
}
