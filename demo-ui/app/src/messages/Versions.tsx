import type { Branches } from 'midstream-chat/react';
import { useState } from 'react';
import type { Message } from '../session/types';
import { IconButton } from '../ui/Button';

export interface VersionsOf {
  /** Return the versions of a message. It is another function when they have changed. */
  branches: (message: Message) => Branches;
  /** Another version cannot be shown now. */
  held: boolean;
}

/** The arrows between the versions of a message, if it has any. */
export function Versions({ message, of: { branches, held } }: { message: Message; of: VersionsOf }) {
  const [problem, setProblem] = useState('');
  const { count, index, previous, next } = branches(message);
  if (count < 2) return null;
  const show = (version: () => Promise<void>) => {
    setProblem('');
    version().catch((error: Error) => setProblem(error.message));
  };
  const place = `Version ${index + 1} of ${count}`;
  return (
    <span role="group" aria-label="Versions" className="inline-flex items-center text-xs text-muted-foreground">
      <Arrow label="Show the version before" flipped held={held} at={index === 0} onClick={() => show(previous)} />
      <span aria-hidden="true" className="tabular-nums">
        {index + 1}/{count}
      </span>
      <span aria-live="polite" className="sr-only">
        {place}
      </span>
      <Arrow label="Show the version after" held={held} at={index === count - 1} onClick={() => show(next)} />
      <span role="alert" className="text-danger">
        {problem}
      </span>
    </span>
  );
}

interface ArrowProps {
  label: string;
  flipped?: boolean;
  held: boolean;
  /** It is the end already. The button stays, so that the keyboard keeps its place. */
  at: boolean;
  onClick: () => void;
}

function Arrow({ label, flipped, held, at, onClick }: ArrowProps) {
  return (
    <IconButton
      icon="chevron"
      label={label}
      className={`aria-disabled:opacity-40 ${flipped ? 'rotate-180' : ''}`}
      disabled={held}
      aria-disabled={at}
      onClick={at ? undefined : onClick}
    />
  );
}
