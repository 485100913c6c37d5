import type { Message } from '../session/types';
import { AssistantMessage } from './AssistantMessage';
import { UserMessage } from './UserMessage';

export type OnToolResult = (tool: string, toolCallId: string, output: unknown) => void;

interface Props {
  messages: Message[];
  busy: boolean;
  onEdit?: (message: Message, text: string) => void;
  onRegenerate?: (messageId?: string) => void;
  onToolResult?: OnToolResult;
}

export function Messages({ messages, busy, onEdit, onRegenerate, onToolResult }: Props) {
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
            onToolResult={last ? onToolResult : undefined}
            onRegenerate={last && onRegenerate ? () => onRegenerate(message.id) : undefined}
          />
        );
      })}
    </div>
  );
}
