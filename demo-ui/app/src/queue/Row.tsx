import type { Message } from '../session/types';
import { Button, IconButton } from '../ui/Button';
import { GrowingText } from '../ui/GrowingText';
import type { Editing, Queueing } from './useQueueing';
import { excerptOf, textOf, wordsOf } from './words';

interface Props {
  message: Message;
  place: number;
  queueing: Queueing;
  /** The focused control has left the page. */
  onGone: () => void;
}

/** One queued message, and what may be done to it. */
export function Row({ message, place, queueing, onGone }: Props) {
  const { editing, setEditing } = queueing;
  const { id } = message;
  if (editing?.id === id) {
    return <Editor editing={editing} queueing={queueing} onGone={onGone} />;
  }
  const name = excerptOf(message);
  const files = message.parts.filter((part) => part.type === 'file').length;
  const before = textOf(message);
  return (
    <li className="flex min-h-11 items-center border-t pr-1 pl-3 text-sm">
      <span aria-hidden="true" className="w-5 shrink-0 text-xs tabular-nums text-muted-foreground">
        {place}
      </span>
      <span className="min-w-0 flex-1 truncate" title={before}>
        {wordsOf(message)}
      </span>
      {files > 0 && (
        <span className="ml-2 text-xs whitespace-nowrap text-muted-foreground">
          {files === 1 ? '1 file' : `${files} files`}
        </span>
      )}
      <IconButton icon="edit" label={`Edit ${name}`} onClick={() => setEditing({ id, text: before, before })} />
      <Button
        icon="bolt"
        className="min-w-11"
        aria-label={`Send now, before the others: ${name}`}
        title="Send now, before the others. It stops the answer that is being written."
        onClick={() => {
          queueing.sendNow(id);
          onGone();
        }}
      >
        <span className="hidden sm:inline">Send now</span>
      </Button>
      <IconButton
        icon="close"
        label={`Remove ${name}`}
        onClick={() => {
          queueing.remove(id);
          onGone();
        }}
      />
    </li>
  );
}

/** Enter saves, as it sends in the message's form; Escape leaves the message as it was. */
function Editor({ editing, queueing, onGone }: { editing: Editing } & Pick<Props, 'queueing' | 'onGone'>) {
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
