/** Puts messages into the session's queue and changes them there. A refused text is handed back. */
import type { FileUIPart } from 'ai';
import { useEffect, useState } from 'react';
import { type Message, textOf } from '../session/types';
import type { DemoSession } from '../session/useDemoSession';
import { type Entry, useMoving } from './useMoving';
import { excerptOf, ordinal, refusalOf } from './words';

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
  version: number;
}

const GONE = 'The message you edited is being answered, or was removed. Your text is here.';

export function useQueueing({ chat, session }: DemoSession, form: Form) {
  const { queue, phase } = session;
  const busy = chat.status === 'submitted' || chat.status === 'streaming';
  const refused = (error: unknown) => form.setProblem(refusalOf(error));
  const { adding, add, said: added } = useAdding(queue, form);
  const { entries, move, said: moved } = useMoving(queue, refused);
  const { editing, setEditing } = useEditing(queue.entries, form);
  const change = (request: Promise<void>) => {
    form.setProblem('');
    request.catch(refused);
  };
  return {
    /** A message that is sent now has others before it. */
    active: busy || phase !== 'idle' || (queue.entries.length > 0 && queue.paused === null),
    entries,
    paused: queue.paused,
    waitsFor: queue.waitsFor,
    adding,
    add,
    added,
    moved,
    move,
    editing,
    setEditing,
    edit: ({ id, message, version }: Entry) => {
      const text = textOf(message);
      setEditing({ id, text, before: text, version });
    },
    save: ({ id, text, before, version }: Editing) => {
      setEditing(null);
      if (text.trim() === before) return;
      const entry = queue.entries.find((each) => each.id === id);
      queue
        .edit(id, withText(entry?.message, text.trim()), { ifVersion: version })
        .catch((error: unknown) => form.putBack(text, [], refusalOf(error)));
    },
    remove: (id: string) => change(queue.remove(id)),
    sendNow: (id: string) => change(unlessTaken(queue.sendNow(id))),
    /** An answer is being written that may take a message. */
    canGive: session.run?.state === 'open' && phase !== 'idle',
    /** Give a message to the answer that is being written. */
    give: (id: string) => change(unlessTaken(queue.sendNow(id, { how: 'steer' }))),
    given: queue.steers,
    outcomes: queue.outcomes,
    resume: () => change(queue.resume()),
  };
}

export type Queueing = ReturnType<typeof useQueueing>;

type Queue = DemoSession['session']['queue'];

/** A message that is being answered already: that was asked for. */
function unlessTaken(request: Promise<void>): Promise<void> {
  return request.catch((error: unknown) => {
    if ((error as { code?: string }).code !== 'entry_taken') throw error;
  });
}

/** Return a message with another text, and the same files. */
function withText(message: Message | undefined, text: string): Omit<Message, 'id'> {
  const files = message?.parts.filter((part) => part.type === 'file') ?? [];
  return { role: 'user', parts: [...files, { type: 'text', text }] };
}

/** Adds messages, and says the place of each. */
function useAdding(queue: Queue, form: Form) {
  const [adding, setAdding] = useState<readonly Message[]>([]);
  const [added, setAdded] = useState<Message>();
  const [said, setSaid] = useState('');
  const place = queue.entries.findIndex(({ id }) => id === added?.id);
  useEffect(() => {
    if (added === undefined || place < 0) return;
    setSaid(`Queued as ${ordinal(place + 1)}: ${excerptOf(added)}`);
    setAdded(undefined);
  }, [added, place]);

  const add = (message: Message, body: object) => {
    setAdding((before) => [...before, message]);
    void queue
      .add(message, { body })
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
