import type { DemoSession } from '../session/useDemoSession';
import { Button, IconButton } from '../ui/Button';

interface Props {
  title: string;
  demo: DemoSession;
  wireOpen: boolean;
  onMenu: () => void;
  onShare: () => void;
  onWire: () => void;
}

export function Header({ title, demo, wireOpen, onMenu, onShare, onWire }: Props) {
  // The empty state has a heading of its own.
  const Heading = demo.chat.messages.length > 0 ? 'h1' : 'p';
  return (
    <header className="flex h-14 shrink-0 items-center gap-2 border-b px-2 sm:px-3">
      <IconButton icon="menu" label="Sessions" className="lg:hidden" onClick={onMenu} />
      <Heading className="min-w-0 flex-1 truncate px-1 font-medium">{title}</Heading>
      <Connection session={demo.session} />
      <IconButton icon="share" label="Open on another device" onClick={onShare} />
      <Button icon="wire" aria-label="The wire" className="min-w-11" aria-pressed={wireOpen} onClick={onWire}>
        <span className="hidden sm:inline">The wire</span>
      </Button>
    </header>
  );
}

export function Connection({ session }: { session: DemoSession['session'] }) {
  const tabs = session.here.reduce((sum, each) => sum + each.tabs, 0);
  const live = session.connection === 'live';
  return (
    <span className="flex items-center gap-1.5 text-xs whitespace-nowrap text-muted-foreground">
      <span aria-hidden="true" className={`size-2 rounded-full ${live ? 'bg-primary' : 'bg-warning'}`} />
      {/* The first attempt to connect is no reconnection. */}
      {session.connection === 'reconnecting' && !session.loaded ? 'connecting' : session.connection}
      {live && tabs > 1 && `, ${tabs} tabs`}
    </span>
  );
}
