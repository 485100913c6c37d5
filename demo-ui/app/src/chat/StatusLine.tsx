import { statusOf } from '../session/status';
import type { DemoSession } from '../session/useDemoSession';
import { Button } from '../ui/Button';
import { duration, useNow } from '../words/time';

const TONES = {
  idle: 'text-muted-foreground',
  busy: 'text-accent-foreground',
  warning: 'text-warning',
  danger: 'text-danger',
} as const;

/** Shows the session's status and its duration. Screen readers announce a change of the text. */
export function StatusLine({ demo, onRetry }: { demo: DemoSession; onRetry: () => void }) {
  const status = statusOf(demo);
  const now = useNow(status?.since !== undefined);
  if (status === null) return <div aria-live="polite" className="h-11" />;
  const pulses = status.tone === 'busy' || status.tone === 'warning';
  return (
    <div className={`flex min-h-11 flex-wrap items-center gap-x-2 gap-y-1 text-sm ${TONES[status.tone]}`}>
      <span
        aria-hidden="true"
        className={`size-2 rounded-full bg-current ${pulses ? 'animate-ripple' : 'opacity-60'}`}
      />
      <p className="min-w-0 flex-1 text-pretty">
        <span aria-live="polite" className="font-medium">
          {status.text}
        </span>
        {status.since !== undefined && (
          <span className="tabular-nums opacity-80"> {duration(now - status.since)}</span>
        )}
        {status.detail && <span className="text-muted-foreground"> · {status.detail}</span>}
      </p>
      {status.offersRetry && (
        <Button look="outline" icon="refresh" onClick={onRetry}>
          Retry
        </Button>
      )}
    </div>
  );
}
