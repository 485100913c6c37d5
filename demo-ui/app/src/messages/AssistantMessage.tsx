import { isToolUIPart, type FileUIPart, type ReasoningUIPart } from 'ai';
import { memo, useState } from 'react';
import { Markdown } from '../markdown/Markdown';
import type { Message } from '../session/types';
import { IconButton } from '../ui/Button';
import { modelName } from '../words/names';
import { Attachments } from './Attachments';
import { Reasoning } from './Reasoning';
import { Sources } from './Sources';
import type { ToolAnswers } from './toolAnswers';
import { ToolCall } from './ToolCall';
import { GivenMessage } from './UserMessage';
import { Versions, type VersionsOf } from './Versions';

interface Props {
  message: Message;
  live: boolean;
  onRegenerate?: () => void;
  toolAnswers?: ToolAnswers;
  versions?: VersionsOf;
}

export const AssistantMessage = memo(function AssistantMessage({
  message,
  live,
  onRegenerate,
  toolAnswers,
  versions,
}: Props) {
  const files = message.parts.filter((part): part is FileUIPart => part.type === 'file');
  return (
    <article aria-label="Answer" className="group/message space-y-3">
      {message.parts.map((part, index) => {
        const last = live && index === message.parts.length - 1;
        if (part.type === 'text') return <Markdown key={index} text={part.text} live={last} />;
        if (part.type === 'reasoning') {
          // Adjacent reasoning parts are shown as one.
          if (message.parts[index - 1]?.type === 'reasoning') return null;
          const thoughts = thoughtsFrom(message.parts, index);
          const thinks = live && thoughts.at(-1) === message.parts.at(-1);
          return <Reasoning key={index} text={thoughts.map(({ text }) => text.trim()).join('\n\n')} live={thinks} />;
        }
        if (part.type === 'steering-message') {
          return <GivenMessage key={index} message={{ id: part.id, role: 'user', parts: part.parts }} />;
        }
        if (isToolUIPart(part)) return <ToolCall key={index} part={part} answers={toolAnswers} />;
        return null;
      })}
      {files.length > 0 && <Attachments files={files} />}
      <Sources message={message} />
      {!live && <Actions message={message} onRegenerate={onRegenerate} versions={versions} />}
    </article>
  );
});

function thoughtsFrom(parts: Message['parts'], first: number): ReasoningUIPart[] {
  const after = parts.slice(first);
  const end = after.findIndex((part) => part.type !== 'reasoning');
  return after.slice(0, end < 0 ? undefined : end) as ReasoningUIPart[];
}

function Actions({ message, onRegenerate, versions }: Pick<Props, 'message' | 'onRegenerate' | 'versions'>) {
  const [copied, setCopied] = useState(false);
  const text = message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <div className="-ml-2 flex items-center gap-0.5 text-xs text-muted-foreground">
      {text !== '' && (
        <IconButton
          icon={copied ? 'check' : 'copy'}
          label={copied ? 'Copied' : 'Copy the answer'}
          
          onClick={() => void copy()}
        />
      )}
      {onRegenerate && (
        <IconButton icon="refresh" label="Write it again"  onClick={onRegenerate} />
      )}
      {versions && <Versions message={message} of={versions} />}
      {message.metadata?.model && <span className="ml-1.5">{modelName(message.metadata.model)}</span>}
    </div>
  );
}
