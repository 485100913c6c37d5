/** Lets a queued message wait for the send before it, so that it cannot overtake it. */
import { useCallback, useEffect, useRef } from 'react';

/** Returns a function that resolves once no send is pending, or the page shows another session. */
export function useAccepted(pending: boolean): () => Promise<void> {
  const latest = useRef(pending);
  latest.current = pending;
  const waiting = useRef<(() => void)[]>([]);
  const release = () => {
    for (const go of waiting.current.splice(0)) go();
  };
  useEffect(() => {
    if (!pending) release();
  }, [pending]);
  useEffect(() => release, []);
  return useCallback(
    () =>
      new Promise<void>((go) => {
        if (latest.current) waiting.current.push(go);
        else go();
      }),
    [],
  );
}
