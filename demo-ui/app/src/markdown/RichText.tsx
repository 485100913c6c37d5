import { Streamdown } from 'streamdown';
import { highlighter } from './highlighter';

const PLUGINS = { code: highlighter };
const CONTROLS = { code: { copy: true, download: false }, table: false } as const;
const LINK_SAFETY = { enabled: false };

// A table without its first row looks like a line of bars and dashes.
const HALF_TABLE = /(^|\n\n)\|[^\n]*(\n[\s:|-]*)?$/;

/** Renders Markdown, even if it is incomplete. */
export default function RichText({ text, live }: { text: string; live: boolean }) {
  return (
    <Streamdown
      className="prose-answer"
      plugins={PLUGINS}
      controls={CONTROLS}
      linkSafety={LINK_SAFETY}
      lineNumbers={false}
      codeBlockMaxHeight={0}
      tableMaxHeight={0}
      isAnimating={live}
      mode={live ? 'streaming' : 'static'}
    >
      {live ? text.replace(HALF_TABLE, '$1') : text}
    </Streamdown>
  );
}
