import { lazy, Suspense, useState, type ReactNode } from 'react';
import { ChaosBar } from '../chaos/ChaosBar';
import { Chat } from '../chat/Chat';
import { addressOf, isSecondPane } from '../page/route';
import { statusOf } from '../session/status';
import { useAnnouncement } from '../session/useAnnouncement';
import { useDemoSession, type DemoSession } from '../session/useDemoSession';
import { splitDirectives } from '../words/directives';
import { Connection, Header } from './Header';
import { useReport } from './useReport';

// Loaded when opened: not every visitor opens them.
const ShareDialog = lazy(() => import('../share/ShareDialog'));
const WirePane = lazy(() => import('../wire/WirePane'));

/** One session: its chat, and the header, the bar and the panes around it. */
export function SessionView({ id, onMenu, onChange }: { id: string; onMenu: () => void; onChange: (what: string) => void }) {
  const demo = useDemoSession(id);
  const { chat, session } = demo;
  const [wireOpen, setWireOpen] = useState(false);
  const [split, setSplit] = useState(false);
  const [sharing, setSharing] = useState(false);
  const title = titleOf(chat.messages);
  useAnnouncement(title, session.phase !== 'idle', statusOf(demo)?.text ?? '');
  useReport(`${id} ${session.run?.id} ${session.run?.state}`, onChange);

  if (isSecondPane) {
    return (
      <Column>
        <SecondHeader>
          <Connection session={session} />
        </SecondHeader>
        <Chat demo={demo} />
      </Column>
    );
  }
  return (
    <div className="flex min-w-0 flex-1">
      <Column>
        <Header
          title={title}
          demo={demo}
          wireOpen={wireOpen}
          onMenu={onMenu}
          onShare={() => setSharing(true)}
          onWire={() => setWireOpen(!wireOpen)}
        />
        <ChaosBar sessionId={id} demo={demo} split={split} onSplit={() => setSplit(!split)} />
        <div className="flex min-h-0 flex-1 flex-col md:flex-row">
          <Chat demo={demo} />
          {split && <SecondTab id={id} />}
        </div>
      </Column>
      {wireOpen && (
        <div className="fixed inset-0 z-30 w-full border-l lg:static lg:w-[27rem] lg:shrink-0">
          <Suspense>
            <WirePane sessionId={id} onClose={() => setWireOpen(false)} />
          </Suspense>
        </div>
      )}
      <Suspense>{sharing && <ShareDialog sessionId={id} onClose={() => setSharing(false)} />}</Suspense>
    </div>
  );
}

function Column({ children }: { children: ReactNode }) {
  return <main className="flex min-w-0 flex-1 flex-col">{children}</main>;
}

function SecondTab({ id }: { id: string }) {
  return (
    <iframe
      title="Second tab of this session"
      src={`${addressOf(id)}?pane=second`}
      className="min-h-0 min-w-0 flex-1 border-t md:border-t-0 md:border-l"
    />
  );
}

function SecondHeader({ children }: { children: ReactNode }) {
  return (
    <header className="flex h-10 shrink-0 items-center justify-between border-b px-4 text-sm">
      <h1 className="font-medium">Second tab</h1>
      {children}
    </header>
  );
}

type Messages = DemoSession['chat']['messages'];

function titleOf(messages: Messages): string {
  const part = messages[0]?.parts.find((each) => each.type === 'text');
  return (part && splitDirectives(part.text).words) || 'New session';
}
