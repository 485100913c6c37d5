import { useMemo } from 'react';

interface Props {
  position: string;
  data: string;
  text: string;
  live: boolean;
}

const LONGEST = 6000;

/** One record's contents, and the answer as it stood after it. */
export function Inspector({ position, data, text, live }: Props) {
  const pretty = useMemo(() => readable(data), [data]);
  return (
    <div className="grid max-h-[44%] shrink-0 grid-rows-[auto_minmax(0,1fr)_auto_minmax(0,1fr)] border-t bg-card text-xs">
      <Heading label="Position" value={position || 'not in the log'} />
      <pre tabIndex={0} aria-label="Record" className="scroll-area px-3 pb-2 font-mono text-[0.6875rem] leading-relaxed whitespace-pre-wrap break-all">
        {pretty || '—'}
      </pre>
      <Heading label={live ? 'The answer now' : 'The answer at this place'} value={`${text.length} characters`} />
      <p tabIndex={0} aria-label="Answer" className="scroll-area flex flex-col-reverse px-3 pb-2 leading-relaxed whitespace-pre-wrap text-muted-foreground">
        <span className="mb-auto">{text.slice(-LONGEST) || '—'}</span>
      </p>
    </div>
  );
}

function Heading({ label, value }: { label: string; value: string }) {
  return (
    <div className="flex justify-between gap-3 px-3 pt-2 pb-1 text-muted-foreground">
      <span className="font-medium text-foreground">{label}</span>
      <code className="truncate font-mono text-[0.6875rem]">{value}</code>
    </div>
  );
}

function readable(data: string): string {
  try {
    return JSON.stringify(JSON.parse(data), null, 1).slice(0, LONGEST);
  } catch {
    return data.slice(0, LONGEST);
  }
}
