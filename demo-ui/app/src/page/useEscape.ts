/** Escape, wherever the focus is, unless what has it (a dialog, an editor, a menu) takes the key. */
import { useEffect, useRef } from 'react';

export function useEscape(active: boolean, onEscape: () => void): void {
  const latest = useRef(onEscape);
  latest.current = onEscape;
  useEffect(() => {
    if (!active) return;
    const listen = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing) return;
      // After the page's own handlers, which say with `preventDefault` that the key was for them.
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      latest.current();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, [active]);
}
