import { useLayoutEffect, useRef, type TextareaHTMLAttributes } from 'react';

const GROWS_BY_ITSELF = CSS.supports('field-sizing', 'content');

/** A textarea that is as high as its text, up to its `max-height`, also where styles cannot say so. */
export function GrowingText({ className, ...rest }: TextareaHTMLAttributes<HTMLTextAreaElement> & { value: string }) {
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    const element = area.current;
    if (GROWS_BY_ITSELF || !element) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [rest.value]);
  return <textarea ref={area} className={`field-sizing-content resize-none ${className}`} {...rest} />;
}
