import { useCallback, useMemo, useState } from 'react';
import type { FileUIPart } from 'ai';
import { Messages } from '../messages/Messages';
import type { ToolAnswers } from '../messages/toolAnswers';
import { useEscape } from '../page/useEscape';
import type { Message } from '../session/types';
import type { DemoSession } from '../session/useDemoSession';
import { Button, IconButton } from '../ui/Button';
import { Composer } from './Composer';
import { EmptyState } from './EmptyState';
import { storedChoice } from './ModelPicker';
import { StatusLine } from './StatusLine';
import { Unsent } from './Unsent';
import { useFollowEnd } from './useFollowEnd';
import { useMoreBelow } from './useMoreBelow';

export function Chat({ demo }: { demo: DemoSession }) {
  const [choice, setChoice] = useState(storedChoice);
  const { chat, session } = demo;
  const { messages, status, sendMessage, regenerate, addToolOutput, addToolApprovalResponse } = chat;
  const { area, content, away, toEnd } = useFollowEnd(messages.length > 0);
  const busy = status === 'submitted' || status === 'streaming';
  const isEmpty = messages.length === 0 && session.loaded && !busy;
  const [below, onward] = useMoreBelow(area, isEmpty);
  useEscape(busy, () => void demo.stop());

  const send = (text: string, files: FileUIPart[] = []) => {
    toEnd();
    void sendMessage({ text, files }, { body: { ...choice } });
  };
  const onRegenerate = useCallback(
    (messageId?: string) => void regenerate({ messageId, body: { ...choice } }),
    [regenerate, choice],
  );
  const onEdit = useCallback(
    (message: Message, text: string) => {
      const files = message.parts.filter((part): part is FileUIPart => part.type === 'file');
      void sendMessage({ text, files, messageId: message.id }, { body: { ...choice } });
    },
    [sendMessage, choice],
  );
  const toolAnswers = useMemo<ToolAnswers>(() => {
    const goOn = () => sendMessage(undefined, { body: { ...choice } });
    return {
      async onResult(tool, toolCallId, output) {
        await addToolOutput({ tool: tool as never, toolCallId, output: output as never });
        await goOn();
      },
      async onApproval(id, approved) {
        await addToolApprovalResponse({ id, approved });
        await goOn();
      },
    };
  }, [addToolOutput, addToolApprovalResponse, sendMessage, choice]);

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
              onEdit={busy ? undefined : onEdit}
              onRegenerate={busy ? undefined : onRegenerate}
              toolAnswers={busy ? undefined : toolAnswers}
            />
          )}
        </div>
      </div>
      <div className="relative mx-auto w-full max-w-3xl space-y-2 px-4 pb-[max(1rem,env(safe-area-inset-bottom))]">
        {away && (
          <IconButton
            icon="arrowDown"
            label="To the newest"
            look="outline"
            className="absolute bottom-full left-1/2 mb-2 -translate-x-1/2 rounded-full shadow-md"
            onClick={toEnd}
          />
        )}
        {below && (
          <Button
            icon="arrowDown"
            look="outline"
            className="absolute bottom-full left-1/2 mb-2 -translate-x-1/2 rounded-full shadow-md"
            onClick={onward}
          >
            More to try
          </Button>
        )}
        <StatusLine demo={demo} onRetry={() => onRegenerate()} />
        <Unsent
          messages={session.unsent}
          busy={busy}
          onResend={(id) => void session.resend(id)}
          onDiscard={session.discard}
        />
        <Composer
          busy={busy}
          choice={choice}
          onChoose={setChoice}
          onSend={send}
          onStop={() => void demo.stop()}
        />
      </div>
    </div>
  );
}
