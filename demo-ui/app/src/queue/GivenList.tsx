import { useEffect, useRef, useState } from 'react';
import { Icon } from '../ui/Icon';
import type { Queueing } from './useQueueing';
import { excerptOf, unreadOf, wordsOf } from './words';

/** The messages that the running answer has been given, and has not read yet. Their outcomes are said. */
export function GivenList({ queueing }: { queueing: Queueing }) {
  const { given, outcomes } = queueing;
  return (
    <>
      <p role="status" className="sr-only">
        {useOutcome(outcomes)}
      </p>
      {given.length > 0 && (
        <ul aria-label="Given to the answer" className="rounded-2xl border bg-card text-sm">
          {given.map(({ id, message }) => (
            <li key={id} className="flex min-h-11 flex-wrap items-center gap-x-2 px-3 py-1.5 not-first:border-t">
              <Icon name="give" className="size-4 text-accent-foreground" />
              <span className="min-w-0 flex-1 truncate">{wordsOf(message)}</span>
              <span className="text-xs text-muted-foreground">Read before the next step</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** Return the newest outcome since the page was opened, in words. */
function useOutcome(outcomes: Queueing['outcomes']): string {
  const newest = outcomes.at(-1);
  const known = useRef(newest);
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (newest === undefined || newest === known.current) return;
    known.current = newest;
    const name = newest.message === undefined ? 'your message' : excerptOf(newest.message);
    const isRead = newest.type === 'delivered';
    setSaid(isRead ? `The answer has read ${name}` : `${name} came back: ${unreadOf(newest.reason)}`);
  }, [newest]);
  return said;
}
