import { useId, useLayoutEffect, useRef, useState } from 'react';
import type { Message } from '../session/types';
import { Button } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { type Mover, Row } from './Row';
import { useDrag } from './useDrag';
import { GivenList } from './GivenList';
import type { Queueing } from './useQueueing';
import { stateOf, wordsOf } from './words';

/** Rows that leave room for the conversation above a phone's keyboard. */
const SHOWN = 3;

/** The messages that wait for their turn, the same in every tab. */
export function QueueList({ queueing }: { queueing: Queueing }) {
  const { entries, adding, added, moved } = queueing;
  const count = entries.length + adding.length;
  return (
    <>
      <div role="status" className="sr-only">
        <p>{added}</p>
        <p>{moved}</p>
      </div>
      <GivenList queueing={queueing} />
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
  const keepFocus = useKeptFocus(section);
  const dragging = useDrag(queueing.move);
  const move = (id: string, to: number, by: Mover) => {
    if (to >= SHOWN) setWhole(true);
    keepFocus(by, id);
    queueing.move(id, to);
  };
  return (
    // Takes the focus of a row's button that is gone.
    <section ref={section} tabIndex={-1} aria-label="Queued messages" className="rounded-2xl border bg-card">
      <Head queueing={queueing} count={count} onGone={toSection} />
      <ol id={listId} className={whole ? 'scroll-area max-h-[40dvh]' : ''}>
        {entries.slice(0, shown).map((entry, index) => (
          <Row
            key={entry.id}
            entry={entry}
            place={index}
            count={entries.length}
            queueing={queueing}
            dragging={dragging}
            onMove={(to, by) => move(entry.id, to, by)}
            onGone={toSection}
          />
        ))}
        {adding.slice(0, Math.max(0, shown - entries.length)).map((message) => (
          <Adding key={message.id} message={message} />
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

/** A message that the gateway does not have yet. */
function Adding({ message }: { message: Message }) {
  return (
    <li className="flex min-h-11 items-center gap-2 border-t pr-3 pl-12 text-sm text-muted-foreground">
      <span className="min-w-0 flex-1 truncate">{wordsOf(message)}</span>
      Sending
    </li>
  );
}

/** Returns a function that keeps the focus on a control though its row moves, or on the row's grip. */
function useKeptFocus(section: { readonly current: HTMLElement | null }) {
  const kept = useRef<[Mover, string]>(undefined);
  useLayoutEffect(() => {
    if (kept.current === undefined) return;
    const [mover, id] = kept.current;
    kept.current = undefined;
    const find = (name: Mover) =>
      section.current?.querySelector<HTMLButtonElement>(`[data-mover="${name} ${CSS.escape(id)}"]`);
    const control = find(mover);
    (control?.disabled === false ? control : find('grip'))?.focus();
  });
  return (mover: Mover, id: string) => {
    kept.current = [mover, id];
  };
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
