import { useMemo, useState } from 'react';
import type { FileUIPart } from 'ai';
import { Messages } from '../messages/Messages';
import { useEscape } from '../page/useEscape';
import type { DemoSession } from '../session/useDemoSession';
import { Button, IconButton } from '../ui/Button';
import { ComposerArea } from './ComposerArea';
import { EmptyState } from './EmptyState';
import { storedChoice } from './ModelPicker';
import { StatusLine } from './StatusLine';
import { useFollowEnd } from './useFollowEnd';
import { useMoreBelow } from './useMoreBelow';
import { useRequests } from './useRequests';

/** A button that floats above the message's form. */
const ABOVE = 'absolute bottom-full left-1/2 mb-2 -translate-x-1/2 rounded-full shadow-md';

export function Chat({ demo }: { demo: DemoSession }) {
  const [choice, setChoice] = useState(storedChoice);
  const { chat, session } = demo;
  const { messages, status } = chat;
  const requests = useRequests(chat, choice);
  const { area, content, away, toEnd } = useFollowEnd(messages.length > 0);
  const busy = status === 'submitted' || status === 'streaming';
  const isEmpty = messages.length === 0 && session.loaded && !busy;
  const [below, onward] = useMoreBelow(area, isEmpty);
  const { branches, queue } = session;
  const held = busy || session.phase !== 'idle' || queue.entries.length > 0;
  const versions = useMemo(() => ({ branches, held }), [branches, held]);
  useEscape(busy, () => void demo.stop());

  const send = (text: string, files: FileUIPart[] = []) => {
    toEnd();
    requests.send(text, files);
  };

  return (
    <div className="relative flex min-h-0 min-w-0 flex-1 flex-col">
      <div ref={area} className="scroll-area min-h-0 flex-1" tabIndex={0} role="log" aria-label="Conversation" aria-live="off">
        <div ref={content}>
          {isEmpty ? (
            <EmptyState onPick={send} />
          ) : (
            <Messages
              messages={messages}
              busy={busy}
              onEdit={busy ? undefined : requests.edit}
              onRegenerate={busy ? undefined : requests.regenerate}
              versions={versions}
              toolAnswers={busy ? undefined : requests.toolAnswers}
            />
          )}
        </div>
      </div>
      <div className="relative mx-auto w-full max-w-3xl space-y-2 px-4 pb-[max(1rem,env(safe-area-inset-bottom))]">
        {away && <IconButton icon="arrowDown" label="To the newest" look="outline" className={ABOVE} onClick={toEnd} />}
        {below && <MoreBelow onClick={onward} />}
        <StatusLine demo={demo} onRetry={() => requests.regenerate()} />
        <ComposerArea demo={demo} busy={busy} choice={choice} onChoose={setChoice} onSend={send} />
      </div>
    </div>
  );
}

function MoreBelow({ onClick }: { onClick: () => void }) {
  return (
    <Button icon="arrowDown" look="outline" className={ABOVE} onClick={onClick}>
      More to try
    </Button>
  );
}
