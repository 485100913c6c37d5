import { useId, useRef, useState } from 'react';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { Row } from './Row';
import type { Queueing } from './useQueueing';
import { stateOf, wordsOf } from './words';

/** Rows that leave room for the conversation above a phone's keyboard. */
const SHOWN = 3;

/** The messages that wait for their turn, the same in every tab. */
export function QueueList({ queueing }: { queueing: Queueing }) {
  const { entries, adding, said } = queueing;
  const count = entries.length + adding.length;
  return (
    <>
      <p role="status" className="sr-only">
        {said}
      </p>
      {count > 0 && <List queueing={queueing} count={count} />}
    </>
  );
}

function List({ queueing, count }: { queueing: Queueing; count: number }) {
  const { entries, adding } = queueing;
  const [whole, setWhole] = useState(false);
  const section = useRef<HTMLElement>(null);
  const listId = useId();
  const shown = whole ? count : SHOWN;
  const toSection = () => section.current?.focus();
  return (
    // Takes the focus of a row's button that is gone.
    <section ref={section} tabIndex={-1} aria-label="Queued messages" className="rounded-2xl border bg-card">
      <Head queueing={queueing} count={count} onGone={toSection} />
      <ol id={listId} className={whole ? 'scroll-area max-h-[40dvh]' : ''}>
        {entries.slice(0, shown).map((entry, index) => (
          <Row
            key={entry.id}
            message={entry.message}
            place={index + 1}
            queueing={queueing}
            onGone={toSection}
          />
        ))}
        {adding.slice(0, Math.max(0, shown - entries.length)).map((message) => (
          <li key={message.id} className="flex min-h-11 items-center gap-2 border-t px-3 text-sm text-muted-foreground">
            <span className="min-w-0 flex-1 truncate">{wordsOf(message)}</span>
            Sending
          </li>
        ))}
      </ol>
      {count > SHOWN && (
        <Button
          className="w-full rounded-t-none border-t"
          aria-expanded={whole}
          aria-controls={listId}
          onClick={() => setWhole(!whole)}
        >
          {whole ? 'Show fewer' : `Show all ${count}`}
        </Button>
      )}
    </section>
  );
}

function Head({ queueing, count, onGone }: { queueing: Queueing; count: number; onGone: () => void }) {
  const { paused } = queueing;
  return (
    <div className={`flex min-h-11 items-center gap-2 px-3 text-sm ${paused ? 'text-warning' : 'text-muted-foreground'}`}>
      <Icon name={paused ? 'pause' : 'hourglass'} />
      <p className="min-w-0 flex-1 text-pretty">
        <span aria-live="polite" className="font-medium">
          {stateOf(queueing)}
        </span>
        <span className="whitespace-nowrap tabular-nums"> · {count} queued</span>
      </p>
      {paused && (
        <Button
          look="outline"
          icon="play"
          className="-mr-1.5 my-1.5"
          onClick={() => {
            queueing.resume();
            onGone();
          }}
        >
          Resume
        </Button>
      )}
    </div>
  );
}
