/** Handles Escape anywhere on the page, unless the focused dialog, editor or menu handles it. */
import { useEffect, useRef } from 'react';

export function useEscape(active: boolean, onEscape: () => void): void {
  const latest = useRef(onEscape);
  latest.current = onEscape;
  useEffect(() => {
    if (!active) return;
    const listen = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing) return;
      // Runs after the page's other handlers. They call `preventDefault` if they have used the key.
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      latest.current();
    };
    addEventListener('keydown', listen);
    return () => removeEventListener('keydown', listen);
  }, [active]);
}
