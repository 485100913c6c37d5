import { useEffect, useRef } from 'react';

/** Tells `onChange` whenever `what` is another. */
export function useReport(what: string, onChange: (what: string) => void): void {
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => latest.current(what), [what]);
}
