import { useEffect, useRef } from 'react';

/** Calls `onChange` whenever `what` changes. */
export function useReport(what: string, onChange: (what: string) => void): void {
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => latest.current(what), [what]);
}
