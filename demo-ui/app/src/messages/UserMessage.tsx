import type { FileUIPart } from 'ai';
import { memo, type ReactNode, useState } from 'react';
import { type Message, textOf } from '../session/types';
import { Button, IconButton } from '../ui/Button';
import { GrowingText } from '../ui/GrowingText';
import { Icon } from '../ui/Icon';
import { splitDirectives } from '../words/directives';
import { Attachments } from './Attachments';
import { Versions, type VersionsOf } from './Versions';

interface Props {
  message: Message;
  /** Absent while it cannot be edited. */
  onEdit?: (message: Message, text: string) => void;
  versions?: VersionsOf;
}

const BUBBLE = 'group/message flex flex-col items-end gap-1.5';

export const UserMessage = memo(function UserMessage({ message, onEdit, versions }: Props) {
  const [edited, setEdited] = useState('');
  if (edited === message.id && onEdit) {
    return (
      <Editor
        text={textOf(message)}
        onCancel={() => setEdited('')}
        onSave={(next) => {
          setEdited('');
          onEdit(message, next);
        }}
      />
    );
  }
  return (
    <article aria-label="Your message" className={BUBBLE}>
      <Words message={message}>
        {/* Disabled, not removed, so that nothing moves when an answer begins or ends. */}
        <IconButton icon="edit" label="Edit the message" disabled={!onEdit} onClick={() => setEdited(message.id)} />
        {versions && <Versions message={message} of={versions} />}
      </Words>
    </article>
  );
});

/** What a person said to an answer while it was written, in the place where the answer has read it. */
export const GivenMessage = memo(function GivenMessage({ message }: { message: Message }) {
  return (
    <section aria-label="Your message to this answer" className={BUBBLE}>
      <Words message={message}>
        <span className="flex items-center gap-1 text-xs text-muted-foreground">
          <Icon name="give" className="size-3.5" />
          Given to this answer, and read here
        </span>
      </Words>
    </section>
  );
});

function Words({ message, children }: { message: Message; children: ReactNode }) {
  const files = message.parts.filter((part): part is FileUIPart => part.type === 'file');
  const { words, directives } = splitDirectives(textOf(message));
  return (
    <>
      {files.length > 0 && <Attachments files={files} />}
      {words !== '' && (
        <p className="max-w-[85%] rounded-2xl rounded-br-md bg-accent px-4 py-2.5 wrap-anywhere whitespace-pre-wrap text-accent-foreground">
          {words}
        </p>
      )}
      <div className="flex items-center gap-1.5">
        {directives.map((directive) => (
          <code
            key={directive}
            title="Directs the simulated model"
            className="max-w-72 truncate rounded-md border px-1.5 py-0.5 font-mono text-[0.6875rem] text-muted-foreground"
          >
            {directive}
          </code>
        ))}
        {children}
      </div>
    </>
  );
}

function Editor(props: { text: string; onSave: (text: string) => void; onCancel: () => void }) {
  const [text, setText] = useState(props.text);
  return (
    <form
      className="space-y-2 rounded-2xl border bg-card p-3"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== '') props.onSave(text);
      }}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.preventDefault();
        props.onCancel();
      }}
    >
      <GrowingText
        autoFocus
        aria-label="Message"
        rows={3}
        value={text}
        onChange={(event) => setText(event.target.value)}
        className="w-full bg-transparent outline-none"
      />
      <div className="flex justify-end gap-2">
        <Button onClick={props.onCancel}>Cancel</Button>
        <Button look="primary" type="submit">
          Send again
        </Button>
      </div>
    </form>
  );
}
