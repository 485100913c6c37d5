import { lazy, memo, Suspense } from 'react';

// Loaded apart: it is half of the page's code, and the first screen has no answer.
const load = () => import('./RichText');
const RichText = lazy(load);

/** Loads the renderer before the first answer comes. */
export const preloadMarkdown = () => void load().catch(() => undefined);

/** An answer's text, streaming or complete. It shows as plain text until the renderer is loaded. */
export const Markdown = memo(function Markdown({ text, live }: { text: string; live: boolean }) {
  const plain = <div data-plain className="prose-answer whitespace-pre-wrap">{text}</div>;
  return (
    <Suspense fallback={plain}>
      <RichText text={text} live={live} />
    </Suspense>
  );
});
