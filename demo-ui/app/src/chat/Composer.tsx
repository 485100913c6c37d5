import { useRef } from 'react';
import { Attachments } from '../messages/Attachments';
import { Button, IconButton } from '../ui/Button';
import { GrowingText } from '../ui/GrowingText';
import { ACCEPTED } from './files';
import { ModelPicker, type Choice } from './ModelPicker';
import type { Draft } from './useDraft';

interface Props {
  draft: Draft;
  busy: boolean;
  /** The message waits for its turn. */
  queues: boolean;
  choice: Choice;
  onChoose: (choice: Choice) => void;
  onStop: () => void;
}

export function Composer({ draft, busy, queues, choice, onChoose, onStop }: Props) {
  return (
    <form
      className="rounded-2xl border border-input bg-card shadow-sm transition focus-within:border-ring"
      onSubmit={(event) => {
        event.preventDefault();
        draft.send();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => draft.takeFiles(event, event.dataTransfer)}
    >
      <DraftFiles draft={draft} />
      <GrowingText
        id="message"
        aria-label="Message"
        placeholder={queues ? 'Write the next message' : 'Write a message'}
        rows={1}
        value={draft.text}
        onChange={(event) => draft.setText(event.target.value)}
        onPaste={(event) => draft.takeFiles(event, event.clipboardData)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          draft.send();
        }}
        className="max-h-48 min-h-12 w-full bg-transparent px-4 pt-3.5 pb-1 text-base outline-none placeholder:text-muted-foreground sm:text-[0.9688rem]"
      />
      <div className="flex items-center gap-1 px-2 pb-2">
        <FilePicker onPick={draft.add} />
        <ModelPicker choice={choice} onChoose={onChoose} />
        <span className="ml-auto" />
        {/* Side by side, so that Stop never appears under a finger that is about to press Send. */}
        {busy && (
          <Button icon="stop" look="outline" aria-label="Stop the answer, in every tab" aria-keyshortcuts="Escape" title="Stop the answer, in every tab (Escape)" onClick={onStop}>
            Stop
          </Button>
        )}
        <IconButton icon="arrowUp" label={queues ? 'Queue the message' : 'Send'} look="primary" type="submit" disabled={!draft.ready} />
      </div>
    </form>
  );
}

function FilePicker({ onPick }: { onPick: (files: Iterable<File>) => Promise<void> }) {
  const picker = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        accept={ACCEPTED}
        aria-label="Files to attach"
        onChange={(event) => {
          void onPick(Array.from(event.target.files ?? []));
          event.target.value = '';
        }}
      />
      <IconButton icon="paperclip" label="Attach images or a PDF" onClick={() => picker.current?.click()} />
    </>
  );
}

function DraftFiles({ draft }: { draft: Draft }) {
  const { files, setFiles, problem } = draft;
  return (
    <>
      {files.length > 0 && (
        <div className="px-4 pt-4">
          <Attachments
            files={files}
            onRemove={(index) => setFiles(files.filter((_, each) => each !== index))}
          />
        </div>
      )}
      {problem !== '' && (
        <p role="alert" className="px-4 pt-3 text-sm text-danger">
          {problem}
        </p>
      )}
    </>
  );
}
