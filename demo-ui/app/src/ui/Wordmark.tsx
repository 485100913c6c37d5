export function Wordmark() {
  return (
    <span className="flex items-center gap-2.5 font-semibold tracking-tight">
      <svg aria-hidden="true" viewBox="0 0 32 32" className="size-7">
        <rect width="32" height="32" rx="9" className="fill-primary" />
        <g fill="none" strokeWidth="2.6" strokeLinecap="round" className="stroke-primary-foreground">
          <path d="M6 12c3.3-3.400 6.700-3.400 10 0s6.700 3.400 10 0" />
          <path d="M6 20c3.300-3.400 6.700-3.400 10 0" />
          <path d="M20.400 21.800c1.900.8 3.700.2 5.600-1.800" opacity=".55" />
        </g>
      </svg>
      Midstream
    </span>
  );
}
