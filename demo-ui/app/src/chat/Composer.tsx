import type { FileUIPart } from 'ai';
import { useRef, useState, type ClipboardEvent, type DragEvent } from 'react';
import { Attachments } from '../messages/Attachments';
import { Button, IconButton } from '../ui/Button';
import { GrowingText } from '../ui/GrowingText';
import { ACCEPTED, readFiles } from './files';
import { ModelPicker, type Choice } from './ModelPicker';

interface Props {
  busy: boolean;
  choice: Choice;
  onChoose: (choice: Choice) => void;
  onSend: (text: string, files: FileUIPart[]) => void;
  onStop: () => void;
}

export function Composer({ busy, choice, onChoose, onSend, onStop }: Props) {
  const [text, setText] = useState('');
  const [files, setFiles] = useState<FileUIPart[]>([]);
  const [problem, setProblem] = useState('');
  const picker = useRef<HTMLInputElement>(null);
  const ready = text.trim() !== '' || files.length > 0;

  const add = async (picked: Iterable<File>) => {
    const found = await readFiles(picked, files);
    setFiles((present) => [...present, ...found.files]);
    setProblem(found.problem);
  };
  const send = () => {
    if (!ready || busy) return;
    onSend(text.trim(), files);
    setText('');
    setFiles([]);
    setProblem('');
  };
  const takeFiles = (event: ClipboardEvent | DragEvent, data: DataTransfer | null) => {
    if (!data || data.files.length === 0) return;
    event.preventDefault();
    void add(data.files);
  };

  return (
    <form
      className="rounded-2xl border border-input bg-card shadow-sm transition focus-within:border-ring"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => takeFiles(event, event.dataTransfer)}
    >
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
      <GrowingText
        id="message"
        aria-label="Message"
        placeholder="Write a message"
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onPaste={(event) => takeFiles(event, event.clipboardData)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
          event.preventDefault();
          send();
        }}
        className="max-h-48 min-h-12 w-full bg-transparent px-4 pt-3.5 pb-1 text-base outline-none placeholder:text-muted-foreground sm:text-[0.9688rem]"
      />
      <div className="flex items-center gap-1 px-2 pb-2">
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          accept={ACCEPTED}
          aria-label="Files to attach"
          onChange={(event) => {
            void add(Array.from(event.target.files ?? []));
            event.target.value = '';
          }}
        />
        <IconButton icon="paperclip" label="Attach images or a PDF" onClick={() => picker.current?.click()} />
        <ModelPicker choice={choice} onChoose={onChoose} />
        <span className="ml-auto" />
        {/* Side by side: an answer that begins elsewhere puts no Stop under a finger on Send. */}
        {busy && (
          <Button icon="stop" look="outline" aria-label="Stop the answer, in every tab" aria-keyshortcuts="Escape" title="Stop the answer, in every tab (Escape)" onClick={onStop}>
            Stop
          </Button>
        )}
        <IconButton icon="arrowUp" label="Send" look="primary" type="submit" disabled={!ready || busy} />
      </div>
    </form>
  );
}
