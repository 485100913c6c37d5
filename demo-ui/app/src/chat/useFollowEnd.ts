/** Keeps a scrolled area at its end, until the person scrolls up. */
import { useEffect, useRef, useState } from 'react';

const NEAR_PX = 80;

export function useFollowEnd(enabled: boolean) {
  const area = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);

  const toEnd = () => {
    following.current = true;
    area.current?.scrollTo({ top: area.current.scrollHeight });
  };
  useEffect(() => {
    const element = area.current;
    if (!element || !content.current) return;
    if (!enabled) {
      element.scrollTop = 0;
      return;
    }
    let before = element.scrollTop;
    const onScroll = () => {
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
      // Growing content moves the end away. Only a scroll upwards is the person's.
      if (element.scrollTop < before - 2 && distance > NEAR_PX) following.current = false;
      else if (distance < NEAR_PX) following.current = true;
      before = element.scrollTop;
      setAway(!following.current);
    };
    const observer = new ResizeObserver(() => {
      if (following.current) element.scrollTop = element.scrollHeight;
    });
    element.addEventListener('scroll', onScroll, { passive: true });
    observer.observe(content.current);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', onScroll);
      observer.disconnect();
    };
  }, [enabled]);
  return { area, content, away, toEnd };
}
