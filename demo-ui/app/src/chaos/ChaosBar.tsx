import { useEffect, useState } from 'react';
import { duration, useNow } from '../lib/time';
import { network, useNetwork } from '../network/network';
import { Icon, type IconName } from '../ui/Icon';
import { IconButton } from '../ui/Button';
import { INCIDENTS, SLOW_EXPECT, SPLIT_EXPECT, type Incident } from './incidents';

interface Props {
  sessionId: string;
  /** The newest run: what was said of an earlier one is over. */
  runId: string | undefined;
  split: boolean;
  /** Absent where there is no room for a second tab: in the second tab. */
  onSplit?: () => void;
}

export function ChaosBar({ sessionId, runId, split, onSplit }: Props) {
  const [note, setNote] = useState('');
  useEffect(() => setNote(''), [runId]);
  const { offlineUntil, slow } = useNetwork();
  const now = useNow(offlineUntil > 0, 250);

  const cause = async (incident: Incident) => {
    setNote(incident.expect);
    const said = await incident.cause(sessionId);
    if (said) setNote(said);
  };
  return (
    <section aria-label="Break it" className="border-b bg-sidebar/60">
      <div className="scroll-area flex items-center gap-1.5 px-3 py-2 md:flex-wrap">
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
            onClick={() => void cause(incident)}
          />
        ))}
        <Chip
          icon="snail"
          label="Slow network"
          title={SLOW_EXPECT}
          pressed={slow}
          onClick={() => {
            network.setSlow(!slow);
            setNote(slow ? '' : SLOW_EXPECT);
          }}
        />
        {onSplit && (
          <Chip
            icon="split"
            label="Second tab"
            title={SPLIT_EXPECT}
            pressed={split}
            onClick={() => {
              onSplit();
              setNote(split ? '' : SPLIT_EXPECT);
            }}
          />
        )}
      </div>
      {(note !== '' || offlineUntil > 0) && (
        <div className="flex animate-rise items-start gap-2 border-t bg-warning-soft px-3 py-2 text-sm text-warning">
          <Icon name="bolt" className="mt-0.5 size-4" />
          <p role="status" className="flex-1 text-pretty">
            {offlineUntil > 0 && (
              <strong className="font-semibold">Online again in {duration(offlineUntil - now + 999)}. </strong>
            )}
            {note}
          </p>
          <IconButton icon="close" label="Close the note" className="-my-1 size-8" onClick={() => setNote('')} />
        </div>
      )}
    </section>
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
      className="inline-flex h-8 items-center gap-1.5 rounded-full border bg-card px-3 text-[0.8125rem] whitespace-nowrap transition hover:border-warning hover:text-warning disabled:opacity-40 aria-pressed:border-warning aria-pressed:bg-warning-soft aria-pressed:text-warning"
    >
      <Icon name={icon} className="size-3.5" />
      {label}
    </button>
  );
}
