/** Puts messages into the session's queue and changes them there. A refused text is handed back. */
import type { FileUIPart } from 'ai';
import { useEffect, useRef, useState } from 'react';
import type { Message } from '../session/types';
import type { DemoSession } from '../session/useDemoSession';
import { useAccepted } from './useAccepted';
import { excerptOf, ordinal, refusalOf, textOf } from './words';

/** The message's form: takes back what was refused, and shows why. */
export interface Form {
  putBack: (text: string, files: FileUIPart[], why: string) => void;
  setProblem: (why: string) => void;
}

/** The queued message that is edited here. */
export interface Editing {
  id: string;
  text: string;
  before: string;
}

const GONE = 'The message you edited is being answered, or was removed. Your text is here.';

export function useQueueing({ chat, session }: DemoSession, form: Form) {
  const { queue, phase } = session;
  const busy = chat.status === 'submitted' || chat.status === 'streaming';
  const { adding, add, said } = useAdding(
    queue,
    form,
    useAccepted(busy && (phase === 'idle' || phase === 'sending')),
  );
  const { editing, setEditing } = useEditing(queue.entries, form);

  const change = (request: Promise<void>) => {
    form.setProblem('');
    request.catch((error: unknown) => form.setProblem(refusalOf(error)));
  };
  return {
    /** A message that is sent now has others before it. */
    active: busy || phase !== 'idle' || (queue.entries.length > 0 && queue.paused === null),
    entries: queue.entries,
    paused: queue.paused,
    waitsFor: queue.waitsFor,
    adding,
    add,
    said,
    editing,
    setEditing,
    save: ({ id, text, before }: Editing) => {
      setEditing(null);
      if (text.trim() === before) return;
      const message = queue.entries.find((entry) => entry.id === id)?.message;
      const files = message?.parts.filter((part) => part.type === 'file') ?? [];
      queue
        .edit(id, { role: 'user', parts: [...files, { type: 'text', text: text.trim() }] })
        .catch((error: unknown) => form.putBack(text, [], refusalOf(error)));
    },
    remove: (id: string) => change(queue.remove(id)),
    sendNow: (id: string) => change(queue.sendNow(id)),
    resume: () => change(queue.resume()),
  };
}

export type Queueing = ReturnType<typeof useQueueing>;

type Queue = DemoSession['session']['queue'];

/** Adds messages one after the other, each after the send before it, and says its place. */
function useAdding(queue: Queue, form: Form, accepted: () => Promise<void>) {
  const [adding, setAdding] = useState<readonly Message[]>([]);
  const [added, setAdded] = useState<Message>();
  const [said, setSaid] = useState('');
  const last = useRef(Promise.resolve());
  const place = queue.entries.findIndex(({ id }) => id === added?.id);
  useEffect(() => {
    if (added === undefined || place < 0) return;
    setSaid(`Queued as ${ordinal(place + 1)}: ${excerptOf(added)}`);
    setAdded(undefined);
  }, [added, place]);

  const add = (message: Message, body: object) => {
    setAdding((before) => [...before, message]);
    const turn = last.current.then(accepted).then(() => queue.add(message, { body }));
    last.current = turn
      .then(
        () => setAdded(message),
        (error: unknown) => {
          const files = message.parts.filter((part): part is FileUIPart => part.type === 'file');
          form.putBack(textOf(message), files, refusalOf(error));
        },
      )
      .then(() => setAdding((before) => before.filter(({ id }) => id !== message.id)));
  };
  const known = new Set(queue.entries.map(({ id }) => id));
  return { adding: adding.filter(({ id }) => !known.has(id)), add, said };
}

/** Keeps the text that is being edited, also if the message leaves the queue meanwhile. */
function useEditing(entries: Queue['entries'], form: Form) {
  const [editing, setEditing] = useState<Editing | null>(null);
  const gone = editing !== null && !entries.some(({ id }) => id === editing.id);
  useEffect(() => {
    if (!gone) return;
    setEditing(null);
    if (editing.text.trim() !== editing.before) form.putBack(editing.text, [], GONE);
  }, [gone]);
  return { editing, setEditing };
}
