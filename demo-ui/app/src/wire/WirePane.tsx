import { useState } from 'react';
import { IconButton } from '../ui/Button';
import { LogView } from './LogView';
import { TabView } from './TabView';

const VIEWS = { log: 'Log', tab: 'This tab' } as const;
type View = keyof typeof VIEWS;

export default function WirePane({ sessionId, onClose }: { sessionId: string; onClose: () => void }) {
  const [view, setView] = useState<View>('log');
  return (
    <section aria-label="The wire" className="flex h-full min-h-0 flex-col bg-sidebar">
      <header className="flex h-14 shrink-0 items-center gap-2 border-b pr-2 pl-4">
        <h2 className="font-semibold">The wire</h2>
        <div role="group" aria-label="What to show" className="ml-auto flex rounded-lg bg-muted p-0.5">
          {(Object.keys(VIEWS) as View[]).map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={view === each}
              onClick={() => setView(each)}
              className="h-11 rounded-md px-3 text-sm text-muted-foreground aria-pressed:bg-card aria-pressed:text-foreground aria-pressed:shadow-xs"
            >
              {VIEWS[each]}
            </button>
          ))}
        </div>
        <IconButton icon="close" label="Close the wire" onClick={onClose} />
      </header>
      {view === 'log' ? <LogView key={sessionId} sessionId={sessionId} /> : <TabView />}
    </section>
  );
}
