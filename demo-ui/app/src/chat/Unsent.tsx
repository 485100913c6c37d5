import { wordsOf } from '../queue/words';
import type { Message } from '../session/types';
import { Button, IconButton } from '../ui/Button';

interface Props {
  messages: readonly { message: Message; error: { code: string; message: string } }[];
  /** Another answer is being written, so the gateway would refuse the message again. */
  busy: boolean;
  onResend: (id: string) => void;
  onDiscard: (id: string) => void;
}

const REASONS: Record<string, string> = {
  run_active: 'another answer was being written',
  stopped: 'it was stopped before it arrived',
  too_large: 'it is too large',
  unreachable: 'it did not arrive',
  conversation_changed: 'the conversation was changed before its turn',
  steer_not_delivered: 'the answer ended before it could read it',
  agent_not_found: 'its agent is gone',
};

/** Messages that the session does not have, with the reason. They can be sent again. */
export function Unsent({ messages, busy, onResend, onDiscard }: Props) {
  if (messages.length === 0) return null;
  return (
    <ul aria-label="Not sent yet" className="space-y-2">
      {messages.map(({ message, error }) => (
        <li
          key={message.id}
          className="flex flex-wrap items-center gap-2 rounded-xl border border-dashed border-warning bg-warning-soft px-3 py-2 text-sm"
        >
          <span className="min-w-full flex-1 sm:min-w-40">
            <span className="block font-medium text-warning">
              Not sent: {REASONS[error.code] ?? error.message}
            </span>
            <span className="line-clamp-2 wrap-anywhere">{wordsOf(message)}</span>
          </span>
          <Button look="outline" icon="arrowUp" disabled={busy} onClick={() => onResend(message.id)}>
            Send now
          </Button>
          <IconButton
            icon="close"
            label="Discard the message"
            onClick={() => onDiscard(message.id)}
          />
        </li>
      ))}
    </ul>
  );
}
