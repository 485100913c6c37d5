import { useCallback, useState } from 'react';
import { network } from '../network/network';
import { useWireLog } from '../network/wireLog';
import { Row } from './Row';
import { VirtualList } from './VirtualList';

/** The log of this tab's connections: requests, chunks, heartbeats, cuts, reconnects. */
export function TabView() {
  const entries = useWireLog(network.log);
  const [chosen, setChosen] = useState<number | null>(null);
  const index = chosen ?? entries.length - 1;
  const row = useCallback(
    (at: number) => {
      const entry = entries[at];
      if (!entry) return null;
      return (
        <Row
          key={at}
          at={entry.at}
          mark={entry.connection ? `#${entry.connection}` : '—'}
          kind={entry.kind}
          summary={entry.label}
          selected={at === index}
          onSelect={() => setChosen(at === entries.length - 1 ? null : at)}
        />
      );
    },
    [entries, index],
  );
  const entry = entries[index];
  return (
    <>
      <VirtualList label="This tab's connections" count={entries.length} focus={index} row={row} />
      <pre
        tabIndex={0}
        aria-label="Contents"
        className="scroll-area max-h-[30%] min-h-20 shrink-0 border-t bg-card p-3 font-mono text-[0.6875rem] leading-relaxed whitespace-pre-wrap break-all"
      >
        {entry?.detail || entry?.label || 'Nothing was sent yet.'}
      </pre>
    </>
  );
}
