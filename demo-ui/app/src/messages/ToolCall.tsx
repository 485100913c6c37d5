import { getToolName, type DynamicToolUIPart, type ToolUIPart } from 'ai';
import { ApprovalForm } from './ApprovalForm';
import { ResultForm } from './ResultForm';
import type { ToolAnswers } from './toolAnswers';
import { Icon } from '../ui/Icon';

const STATES: Record<string, string> = {
  'input-streaming': 'writing its input',
  'input-available': 'waits for its result',
  'approval-requested': 'waits for your permission',
  'approval-responded': 'answered, runs next',
  'output-available': 'done',
  'output-error': 'failed',
  'output-denied': 'refused by you',
};

interface Props {
  part: ToolUIPart | DynamicToolUIPart;
  /** Absent while nobody can answer the call. */
  answers?: ToolAnswers;
}

export function ToolCall({ part, answers }: Props) {
  const asks = part.state === 'input-available' || part.state === 'approval-requested';
  const waits = asks && answers !== undefined;
  const state = STATES[part.state] ?? part.state;
  return (
    <details open={waits || undefined} className="group rounded-xl border bg-card text-sm">
      <summary className="flex min-h-11 list-none items-center gap-2 rounded-xl px-3 py-2">
        <Icon name="tool" className="size-4 text-primary" />
        <code className="font-mono text-[0.8125rem] font-medium max-w-[60%] shrink-0 wrap-anywhere">{getToolName(part)}</code>
        <span className={part.state === 'output-error' ? 'text-danger' : 'text-muted-foreground'}>
          {state}
        </span>
        <Icon
          name="chevron"
          className="ml-auto size-3.5 text-muted-foreground transition group-open:rotate-90"
        />
      </summary>
      <div className="space-y-2 border-t px-3 py-2.5">
        <Value label="Input" value={part.input} />
        {answers && part.state === 'input-available' && (
          <ResultForm
            onResult={(output) => answers.onResult(getToolName(part), part.toolCallId, output)}
          />
        )}
        {answers && part.state === 'approval-requested' && (
          <ApprovalForm
            tool={getToolName(part)}
            onAnswer={(isAllowed) => answers.onApproval(part.approval.id, isAllowed)}
          />
        )}
        {part.state === 'output-available' && <Value label="Result" value={part.output} />}
        {part.state === 'output-error' && <Value label="Error" value={part.errorText} />}
      </div>
    </details>
  );
}

function Value({ label, value }: { label: string; value: unknown }) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return (
    <div>
      <div className="mb-1 text-xs text-muted-foreground">{label}</div>
      <pre className="scroll-area max-h-52 rounded-lg bg-muted p-2.5 font-mono text-xs" tabIndex={0}>
        {text ?? '…'}
      </pre>
    </div>
  );
}
