import type { SourceDocumentUIPart, SourceUrlUIPart } from 'ai';
import type { Message } from '../session/types';
import { Icon } from '../ui/Icon';

type SourcePart = SourceUrlUIPart | SourceDocumentUIPart;

/** A message's sources, each once, by its title. */
export function Sources({ message }: { message: Message }) {
  const titles = citedTitles(message);
  const seen = new Map<string, SourcePart>();
  for (const part of message.parts) {
    if (part.type !== 'source-url' && part.type !== 'source-document') continue;
    const key = part.type === 'source-url' ? part.url : part.sourceId;
    const title = part.title ?? titles.get(key);
    if (title || !seen.has(key)) seen.set(key, { ...part, title: title ?? '' });
  }
  if (seen.size === 0) return null;
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

/** Return the titles of cited pages by address: a source itself may have no title. */
function citedTitles(message: Message): Map<string, string> {
  const titles = new Map<string, string>();
  for (const part of message.parts) {
    for (const { source } of (part.type === 'text' && part.citations) || []) {
      if (source.sourceType === 'url' && source.title) titles.set(source.url, source.title);
    }
  }
  return titles;
}

function Source({ part, number }: { part: SourcePart; number: number }) {
  const look =
    'flex min-h-11 max-w-64 items-center gap-1.5 rounded-full border bg-card px-3.5 py-1 text-xs text-muted-foreground';
  const content = (
    <>
      <Icon name="globe" className="size-3.5 text-primary" />
      <span className="tabular-nums">{number}</span>
      <span className="truncate text-foreground">{part.title || (part.type === 'source-url' ? part.url : '')}</span>
    </>
  );
  if (part.type !== 'source-url') return <span className={look}>{content}</span>;
  return (
    <a className={`${look} hover:bg-muted`} href={part.url} target="_blank" rel="noreferrer">
      {content}
    </a>
  );
}
