import { useRef } from 'react';
import { duration, useNow } from '../lib/time';
import { statusOf } from '../session/status';
import type { DemoSession } from '../session/useDemoSession';
import { Button } from '../ui/Button';

const TONES = {
  idle: 'text-muted-foreground',
  busy: 'text-accent-foreground',
  warning: 'text-warning',
  danger: 'text-danger',
} as const;

/** Says what is going on, and since when; announced to screen readers when the words change. */
export function StatusLine({ session, onRetry }: { session: DemoSession; onRetry: () => void }) {
  const since = useLostSince(session.connection !== 'live');
  const status = statusOf(session, since);
  const now = useNow(status?.since !== undefined);
  if (status === null) return <div aria-live="polite" className="h-8" />;
  const pulses = status.tone === 'busy' || status.tone === 'warning';
  return (
    <div className={`flex min-h-8 flex-wrap items-center gap-x-2 gap-y-1 text-sm ${TONES[status.tone]}`}>
      <span
        aria-hidden="true"
        className={`size-2 rounded-full bg-current ${pulses ? 'animate-ripple' : 'opacity-60'}`}
      />
      <span aria-live="polite" className="font-medium">
        {status.text}
      </span>
      {status.since !== undefined && (
        <span className="tabular-nums opacity-80">{duration(now - status.since)}</span>
      )}
      {status.detail && <span className="text-muted-foreground">{status.detail}</span>}
      {status.offersRetry && (
        <Button look="outline" icon="refresh" className="h-8" onClick={onRetry}>
          Retry
        </Button>
      )}
    </div>
  );
}

/** When the connection was lost; null while it is not, or was never there. */
function useLostSince(lost: boolean): number | null {
  const since = useRef<number | null>(null);
  const wasLive = useRef(false);
  if (!lost) {
    wasLive.current = true;
    since.current = null;
  } else if (wasLive.current) since.current ??= Date.now();
  return since.current;
}
