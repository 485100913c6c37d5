import type { Message } from '../session/types';
import { AssistantMessage } from './AssistantMessage';
import type { ToolAnswers } from './toolAnswers';
import { UserMessage } from './UserMessage';

interface Props {
  messages: Message[];
  busy: boolean;
  onEdit?: (message: Message, text: string) => void;
  onRegenerate?: (messageId?: string) => void;
  toolAnswers?: ToolAnswers;
}

export function Messages({ messages, busy, onEdit, onRegenerate, toolAnswers }: Props) {
  return (
    <div className="mx-auto w-full max-w-3xl space-y-7 px-4 py-6">
      {messages.map((message, index) => {
        if (message.role === 'user') {
          return <UserMessage key={message.id} message={message} onEdit={onEdit} />;
        }
        const last = index === messages.length - 1;
        return (
          <AssistantMessage
            key={message.id}
            message={message}
            live={busy && last}
            toolAnswers={last ? toolAnswers : undefined}
            onRegenerate={last && onRegenerate ? () => onRegenerate(message.id) : undefined}
          />
        );
      })}
    </div>
  );
}
