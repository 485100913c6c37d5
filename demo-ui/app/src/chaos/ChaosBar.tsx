import { network, useNetwork } from '../network/network';
import type { DemoSession } from '../session/useDemoSession';
import { IconButton } from '../ui/Button';
import { Icon, type IconName } from '../ui/Icon';
import { duration, useNow } from '../words/time';
import { INCIDENTS, SLOW, SLOW_EXPECT, SPLIT, SPLIT_EXPECT } from './incidents';
import { useDeaths } from './useDeaths';
import { useNote } from './useNote';

interface Props {
  sessionId: string;
  demo: DemoSession;
  split: boolean;
  onSplit: () => void;
}

export function ChaosBar({ sessionId, demo, split, onSplit }: Props) {
  const { session } = demo;
  const net = useNetwork();
  const { offlineUntil, slow } = net;
  const [note, say] = useNote({ session, net, split });
  const report = useDeaths(sessionId, demo, say);
  return (
    <section aria-label="Break it" className="border-b bg-sidebar/60">
      <div className="scroll-area flex [scrollbar-width:none] items-center gap-1.5 px-3 py-1.5 md:flex-wrap">
        <span className="pr-1 text-xs font-semibold tracking-wide whitespace-nowrap text-muted-foreground">
          Break it
        </span>
        {INCIDENTS.map((incident) => (
          <Chip
            key={incident.label}
            icon={incident.icon}
            label={incident.label}
            title={incident.expect}
            disabled={offlineUntil > 0}
            onClick={() => void incident.cause({ id: sessionId, session, say, report })}
          />
        ))}
        <Chip
          icon="snail"
          label="Slow network"
          title={SLOW_EXPECT}
          pressed={slow}
          onClick={() => {
            network.setSlow(!slow);
            if (!slow) say(SLOW);
          }}
        />
        <Chip
          icon="split"
          label="Second tab"
          title={SPLIT_EXPECT}
          pressed={split}
          onClick={() => {
            onSplit();
            if (!split) say(SPLIT);
          }}
        />
      </div>
      <div role="status">
        {note !== '' && <NoteLine note={note} offlineUntil={offlineUntil} onClose={() => say(null)} />}
      </div>
    </section>
  );
}

function NoteLine({ note, offlineUntil, onClose }: { note: string; offlineUntil: number; onClose: () => void }) {
  const now = useNow(offlineUntil > 0, 250);
  return (
    <div className="flex animate-rise items-start gap-2 border-t bg-warning-soft px-3 py-2 text-sm text-warning">
      <Icon name="bolt" className="mt-0.5 size-4" />
      <p className="flex-1 text-pretty">
        {offlineUntil > 0 && (
          <strong aria-hidden="true" className="font-semibold">
            Online again in {duration(offlineUntil - now + 999)}.{' '}
          </strong>
        )}
        {note}
      </p>
      <IconButton icon="close" label="Close the note" className="-my-2" onClick={onClose} />
    </div>
  );
}

interface ChipProps {
  icon: IconName;
  label: string;
  title: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
}

function Chip({ icon, label, title, pressed, disabled, onClick }: ChipProps) {
  return (
    <button
      type="button"
      title={title}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
      className="inline-flex h-11 items-center gap-1.5 rounded-full border bg-card px-3 text-[0.8125rem] whitespace-nowrap transition hover:border-warning hover:text-warning disabled:opacity-40 aria-pressed:border-warning aria-pressed:bg-warning-soft aria-pressed:text-warning"
    >
      <Icon name={icon} className="size-3.5" />
      {label}
    </button>
  );
}
