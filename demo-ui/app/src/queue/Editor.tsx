import { Button } from '../ui/Button';
import { GrowingText } from '../ui/GrowingText';
import type { Editing, Queueing } from './useQueueing';

interface Props {
  editing: Editing;
  queueing: Queueing;
  /** The focused control has left the page. */
  onGone: () => void;
}

/** Enter saves, as it sends in the message's form; Escape leaves the message as it was. */
export function Editor({ editing, queueing, onGone }: Props) {
  const close = () => {
    queueing.setEditing(null);
    onGone();
  };
  const save = () => {
    if (editing.text.trim() === '') return;
    queueing.save(editing);
    onGone();
  };
  return (
    <li className="border-t p-2">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          const isSave = event.key === 'Enter' && !event.shiftKey && event.target instanceof HTMLTextAreaElement;
          if (!isSave && event.key !== 'Escape') return;
          // Not the page's Escape, which stops the answer.
          event.preventDefault();
          if (isSave) save();
          else close();
        }}
      >
        <GrowingText
          autoFocus
          aria-label="Queued message"
          rows={1}
          value={editing.text}
          onChange={(event) => queueing.setEditing({ ...editing, text: event.target.value })}
          className="max-h-32 min-h-11 w-full rounded-lg bg-transparent px-2 py-2.5 text-base sm:text-sm"
        />
        <div className="flex justify-end gap-2 pt-2">
          <Button onClick={close}>Cancel</Button>
          <Button look="primary" type="submit" disabled={editing.text.trim() === ''}>
            Save
          </Button>
        </div>
      </form>
    </li>
  );
}
