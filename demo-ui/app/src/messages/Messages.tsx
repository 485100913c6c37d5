import type { Message } from '../session/types';
import { AssistantMessage } from './AssistantMessage';
import type { ToolAnswers } from './toolAnswers';
import { UserMessage } from './UserMessage';
import type { VersionsOf } from './Versions';

interface Props {
  messages: Message[];
  busy: boolean;
  onEdit?: (message: Message, text: string) => void;
  onRegenerate?: (messageId?: string) => void;
  toolAnswers?: ToolAnswers;
  versions?: VersionsOf;
}

export function Messages({ messages, busy, onEdit, onRegenerate, toolAnswers, versions }: Props) {
  return (
    <div className="mx-auto w-full max-w-3xl space-y-7 px-4 py-6">
      {messages.map((message, index) => {
        // The versions of a message take each other's place, with the focus on their arrows.
        const place = messages[index - 1]?.id ?? 'first';
        if (message.role === 'user') {
          return <UserMessage key={place} message={message} onEdit={onEdit} versions={versions} />;
        }
        const last = index === messages.length - 1;
        return (
          <AssistantMessage
            key={place}
            message={message}
            versions={versions}
            live={busy && last}
            toolAnswers={last ? toolAnswers : undefined}
            onRegenerate={last && onRegenerate ? () => onRegenerate(message.id) : undefined}
          />
        );
      })}
    </div>
  );
}
