import { memo } from 'react';
import { clock } from '../words/time';

const TONES: Record<string, string> = {
  run: 'text-primary',
  message: 'text-foreground',
  chunks: 'text-muted-foreground',
  chunk: 'text-muted-foreground',
  request: 'text-foreground',
  answer: 'text-primary',
  cut: 'text-danger',
  failure: 'text-danger',
  link: 'text-warning',
  note: 'text-warning',
};

interface Props {
  at: number;
  /** The number of the row's connection, if it has one. */
  mark?: string;
  kind: string;
  summary: string;
  selected: boolean;
  /** The row lies after the place that is shown. */
  faded?: boolean;
  onSelect: () => void;
}

export const Row = memo(function Row({ at, mark, kind, summary, selected, faded, onSelect }: Props) {
  return (
    <button
      type="button"
      onClick={onSelect}
      aria-pressed={selected}
      className={`flex h-[26px] w-full pointer-coarse:h-11 items-center gap-2 px-3 text-left font-mono text-[0.6875rem] whitespace-nowrap hover:bg-muted aria-pressed:bg-accent ${faded ? 'bg-muted italic' : ''}`}
    >
      <span className="text-muted-foreground tabular-nums">{clock(at)}</span>
      {mark && <span className="w-8 shrink-0 text-muted-foreground tabular-nums">{mark}</span>}
      <span className={`w-17 shrink-0 font-medium ${TONES[kind] ?? 'text-muted-foreground'}`}>{kind}</span>
      <span className="truncate">{summary}</span>
    </button>
  );
});
