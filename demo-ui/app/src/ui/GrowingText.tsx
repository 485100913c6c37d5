import type { TextareaHTMLAttributes } from 'react';

interface Props extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  value: string;
}

/**
 * A textarea that is as high as its text, up to its `max-height`: a copy that nobody sees, in the same
 * place, says how high that is where `field-sizing` does not. To measure would move the page.
 */
export function GrowingText({ className, ...rest }: Props) {
  const both = `col-start-1 row-start-1 w-full ${className}`;
  return (
    <div className="grid">
      {/* A space at its end: an empty last line counts, too. */}
      <div aria-hidden="true" className={`invisible overflow-hidden break-words whitespace-pre-wrap ${both}`}>
        {`${rest.value} `}
      </div>
      <textarea className={`field-sizing-content resize-none self-stretch ${both}`} {...rest} />
    </div>
  );
}
