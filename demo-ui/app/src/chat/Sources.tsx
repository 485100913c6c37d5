import type { SourceDocumentUIPart, SourceUrlUIPart } from 'ai';
import { Icon } from '../ui/Icon';

export type SourcePart = SourceUrlUIPart | SourceDocumentUIPart;

export function Sources({ parts }: { parts: SourcePart[] }) {
  const seen = new Map<string, SourcePart>();
  for (const part of parts) {
    const key = part.type === 'source-url' ? part.url : part.sourceId;
    // A page may come twice, as found and as cited: only one of them has a title.
    if (part.title || !seen.has(key)) seen.set(key, part);
  }
  return (
    <ul aria-label="Sources" className="flex flex-wrap gap-2">
      {Array.from(seen.values(), (part, index) => (
        <li key={part.sourceId}>
          <Source part={part} number={index + 1} />
        </li>
      ))}
    </ul>
  );
}

function Source({ part, number }: { part: SourcePart; number: number }) {
  const look =
    'flex min-h-11 max-w-64 items-center gap-1.5 rounded-full border bg-card px-3.5 py-1 text-xs text-muted-foreground';
  const content = (
    <>
      <Icon name="globe" className="size-3.5 text-primary" />
      <span className="tabular-nums">{number}</span>
      <span className="truncate text-foreground">{part.title ?? (part.type === 'source-url' ? part.url : '')}</span>
    </>
  );
  if (part.type !== 'source-url') return <span className={look}>{content}</span>;
  return (
    <a className={`${look} hover:bg-muted`} href={part.url} target="_blank" rel="noreferrer">
      {content}
    </a>
  );
}
