import { useId, useState } from 'react';
import { Button } from '../ui/Button';

const EXAMPLE = '{"temperature": 21, "sky": "clear"}';

/** Lets the person play the tool: the text is the call's result. */
export function ResultForm({ onResult }: { onResult: (output: unknown) => void }) {
  const [text, setText] = useState(EXAMPLE);
  const id = useId();
  return (
    <form
      className="space-y-1.5"
      onSubmit={(event) => {
        event.preventDefault();
        onResult(parsed(text));
      }}
    >
      <label htmlFor={id} className="block text-xs text-muted-foreground">
        The tool's result, from you
      </label>
      <div className="flex gap-2">
        <input
          id={id}
          value={text}
          onChange={(event) => setText(event.target.value)}
          className="h-11 min-w-0 flex-1 rounded-lg border border-input bg-background px-3 font-mono text-xs"
        />
        <Button look="primary" type="submit">
          Give it
        </Button>
      </div>
    </form>
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
