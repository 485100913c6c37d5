import { lazy, memo, Suspense } from 'react';

// It is half of the page's code, and the first screen has no answer.
const load = () => import('./RichText');
const RichText = lazy(load);

/** Fetches it before the first answer comes. */
export const preloadMarkdown = () => void load().catch(() => undefined);

/** An answer's text, while it is written and after; as it is until it can be laid out. */
export const Markdown = memo(function Markdown({ text, live }: { text: string; live: boolean }) {
  const plain = <div data-plain className="prose-answer whitespace-pre-wrap">{text}</div>;
  return (
    <Suspense fallback={plain}>
      <RichText text={text} live={live} />
    </Suspense>
  );
});
