import { useState } from 'react';
import { Icon } from '../ui/Icon';

/** The model's reasoning: open while it streams, then folded, unless the person has toggled it. */
export function Reasoning({ text, live }: { text: string; live: boolean }) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const open = chosen ?? live;
  return (
    <details open={open} className="group rounded-xl border bg-card/60 text-sm">
      <summary
        className="flex min-h-11 list-none items-center gap-2 rounded-xl px-3 py-2 text-muted-foreground hover:text-foreground"
        onClick={(event) => {
          event.preventDefault();
          setChosen(!open);
        }}
      >
        <Icon name="brain" />
        <span className="font-medium">{live ? 'Thinking' : 'Thought about it'}</span>
        <Icon name="chevron" className="ml-auto size-3.5 transition group-open:rotate-90" />
      </summary>
      <p className="border-t px-3 py-2.5 leading-relaxed wrap-anywhere whitespace-pre-wrap text-muted-foreground">
        {text || 'The model does not show what it thinks.'}
      </p>
    </details>
  );
}
