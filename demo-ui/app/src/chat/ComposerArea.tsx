import { generateId, type FileUIPart } from 'ai';
import { QueueList } from '../queue/QueueList';
import { useQueueing } from '../queue/useQueueing';
import type { Message } from '../session/types';
import type { DemoSession } from '../session/useDemoSession';
import { Composer } from './Composer';
import type { Choice } from './ModelPicker';
import { Unsent } from './Unsent';
import { useDraft } from './useDraft';

interface Props {
  demo: DemoSession;
  busy: boolean;
  choice: Choice;
  onChoose: (choice: Choice) => void;
  /** Sends while nothing is before the message. */
  onSend: (text: string, files: FileUIPart[]) => void;
}

/** What is not sent, what waits for its turn, and the form of the next message. */
export function ComposerArea({ demo, busy, choice, onChoose, onSend }: Props) {
  const { session } = demo;
  const draft = useDraft((text, files) => {
    if (queueing.active) queueing.add(messageOf(text, files), choice);
    else onSend(text, files);
  });
  const queueing = useQueueing(demo, draft);
  const { unsent } = session.queue;
  return (
    <>
      <Unsent
        messages={session.unsent}
        busy={busy}
        onResend={(id) => void session.resend(id)}
        onDiscard={session.discard}
      />
      <Unsent
        messages={unsent.map(({ message, reason = '' }) => ({ message, error: { code: reason, message: reason } }))}
        busy={false}
        onResend={(id) => {
          const entry = unsent.find((each) => each.id === id);
          if (entry) queueing.add(entry.message, choice);
        }}
        onDiscard={queueing.remove}
      />
      <QueueList queueing={queueing} />
      <Composer
        draft={draft}
        busy={busy}
        queues={queueing.active}
        choice={choice}
        onChoose={onChoose}
        onStop={() => void demo.stop()}
      />
    </>
  );
}

function messageOf(text: string, files: FileUIPart[]): Message {
  const words = text === '' ? [] : [{ type: 'text' as const, text }];
  return { id: generateId(), role: 'user', parts: [...files, ...words] };
}
