import type { TextareaHTMLAttributes } from 'react';

interface Props extends TextareaHTMLAttributes<HTMLTextAreaElement> {
  value: string;
}

/**
 * A textarea that grows with its text, up to its `max-height`. Where `field-sizing` is missing, an
 * invisible copy in the same place sets the height. Measuring instead would move the page.
 */
export function GrowingText({ className, ...rest }: Props) {
  const both = `col-start-1 row-start-1 w-full ${className}`;
  return (
    <div className="grid">
      {/* The final space gives an empty last line its height. */}
      <div aria-hidden="true" className={`invisible overflow-hidden break-words whitespace-pre-wrap ${both}`}>
        {`${rest.value} `}
      </div>
      <textarea className={`field-sizing-content resize-none self-stretch ${both}`} {...rest} />
    </div>
  );
}
