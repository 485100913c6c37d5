import { type KeyboardEvent, useId, useState } from 'react';
import { textOf } from '../session/types';
import { Button, IconButton } from '../ui/Button';
import { Icon } from '../ui/Icon';
import { Editor } from './Editor';
import type { useDrag } from './useDrag';
import type { Entry } from './useMoving';
import type { Queueing } from './useQueueing';
import { excerptOf, unreadOf, wordsOf } from './words';

/** A control that moves a message, and keeps the keyboard's place when its row has moved. */
export type Mover = 'grip' | 'up' | 'down';

export interface RowProps {
  entry: Entry;
  /** From 0. */
  place: number;
  count: number;
  queueing: Queueing;
  dragging: ReturnType<typeof useDrag>;
  onMove: (to: number, by: Mover) => void;
  /** The focused control has left the page. */
  onGone: () => void;
}

/** One queued message, and what may be done to it. */
export function Row(props: RowProps) {
  const { entry, place, queueing, dragging, onGone } = props;
  const [open, setOpen] = useState(false);
  const actionsId = useId();
  const { editing } = queueing;
  if (editing?.id === entry.id) {
    return <Editor editing={editing} queueing={queueing} onGone={onGone} />;
  }
  const { message } = entry;
  const files = message.parts.filter((part) => part.type === 'file').length;
  const { drag } = dragging;
  const isDragged = drag?.id === entry.id;
  return (
    <li
      data-queued={entry.id}
      style={isDragged ? { transform: `translateY(${drag.dy}px)` } : undefined}
      className={`flex flex-wrap items-center border-t px-1 text-sm ${isDragged ? 'relative z-10 rounded-lg bg-muted shadow-md' : ''} ${markOf(place, drag)}`}
    >
      <Grip {...props} />
      <span className="min-w-0 flex-1 truncate py-2.5" title={textOf(message)}>
        {wordsOf(message)}
      </span>
      {files > 0 && (
        <span className="ml-2 text-xs whitespace-nowrap text-muted-foreground">
          {files === 1 ? '1 file' : `${files} files`}
        </span>
      )}
      <IconButton
        icon="more"
        label={`${open ? 'Hide' : 'Show'} actions: ${excerptOf(message)}`}
        aria-expanded={open}
        aria-controls={actionsId}
        className="sm:hidden"
        onClick={() => setOpen(!open)}
      />
      <Actions {...props} id={actionsId} open={open} />
      <CameBack entry={entry} queueing={queueing} />
    </li>
  );
}

/** Drags the message; the arrow keys move it. */
function Grip({ entry, place, count, dragging, onMove }: RowProps) {
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    onMove(place + step, 'grip');
  };
  return (
    <button
      type="button"
      data-mover={`grip ${entry.id}`}
      aria-label={`Move ${excerptOf(entry.message)}, ${place + 1} of ${count}`}
      title="Drag, or use the arrow keys"
      className="flex size-11 shrink-0 cursor-grab touch-none items-center justify-center rounded-lg text-xs text-muted-foreground tabular-nums hover:bg-muted active:cursor-grabbing"
      onKeyDown={onKeyDown}
      {...dragging.handlersOf(entry.id)}
    >
      <Icon name="grip" />
      <span className="w-4 text-center">{place + 1}</span>
    </button>
  );
}

/** Beside the message; on a phone below it, once they are wanted. */
function Actions({ id, open, entry, place, count, queueing, onMove, onGone }: RowProps & { id: string; open: boolean }) {
  const name = excerptOf(entry.message);
  const gone = (act: (id: string) => void) => () => {
    act(entry.id);
    onGone();
  };
  return (
    <div id={id} className={`${open ? 'flex' : 'hidden'} w-full flex-wrap items-center justify-end sm:flex sm:w-auto sm:flex-nowrap`}>
      <IconButton
        icon="arrowUp"
        label={`Move up: ${name}`}
        data-mover={`up ${entry.id}`}
        disabled={place === 0}
        onClick={() => onMove(place - 1, 'up')}
      />
      <IconButton
        icon="arrowDown"
        label={`Move down: ${name}`}
        data-mover={`down ${entry.id}`}
        disabled={place === count - 1}
        onClick={() => onMove(place + 1, 'down')}
      />
      <IconButton icon="edit" label={`Edit ${name}`} onClick={() => queueing.edit(entry)} />
      <div className="flex items-center">
        {queueing.canGive && (
          <Button
            icon="give"
            aria-label={`Give to answer: ${name}`}
            title="The answer goes on, and reads the message before its next step."
            onClick={gone(queueing.give)}
          >
            Give to answer
          </Button>
        )}
        <Button
          icon="bolt"
          aria-label={`Send now, before the others: ${name}`}
          title="Send now, before the others. It stops the answer that is being written."
          onClick={gone(queueing.sendNow)}
        >
          Send now
        </Button>
        <IconButton icon="close" label={`Remove ${name}`} onClick={gone(queueing.remove)} />
      </div>
    </div>
  );
}

/** Why the answer that the message was given to has not read it. */
function CameBack({ entry, queueing }: Pick<RowProps, 'entry' | 'queueing'>) {
  const outcome = queueing.outcomes.find(({ id }) => id === entry.id);
  if (outcome?.type !== 'not-delivered') return null;
  return <p className="w-full pb-2 pl-11 text-xs text-warning">Came back: {unreadOf(outcome.reason)}</p>;
}

/** A line where the dragged message would come. */
function markOf(place: number, drag: ReturnType<typeof useDrag>['drag']): string {
  if (drag === null || drag.to !== place || drag.to === drag.from) return '';
  return drag.to < drag.from
    ? 'shadow-[inset_0_2px_0_var(--color-ring)]'
    : 'shadow-[inset_0_-2px_0_var(--color-ring)]';
}
