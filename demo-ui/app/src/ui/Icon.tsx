/** Line icons on a 24 × 24 grid. They are decoration: a text beside them has the meaning. */

const PATHS = {
  alert: 'M12 9v4m0 4h.01M10.3 4 2.6 17.5A2 2 0 0 0 4.3 20.5h15.4a2 2 0 0 0 1.7-3L13.7 4a2 2 0 0 0-3.4 0Z',
  arrowUp: 'M12 19V5m-6 6 6-6 6 6',
  arrowDown: 'M12 5v14m6-6-6 6-6-6',
  bell: 'M6 16.500V11a6 6 0 0 1 12 0v5.500l1.500 1.500h-15L6 16.500ZM10 21h4',
  bolt: 'M13 2 4 14h6l-1 8 9-12h-6l1-8Z',
  brain: 'M12 5a3 3 0 0 0-5.8-1A3.5 3.5 0 0 0 4 10a3.5 3.5 0 0 0 1 6 3.5 3.5 0 0 0 7 1V5Zm0 0a3 3 0 0 1 5.8-1A3.5 3.5 0 0 1 20 10a3.5 3.5 0 0 1-1 6 3.5 3.5 0 0 1-7 1',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  chevron: 'm9 6 6 6-6 6',
  close: 'M6 6l12 12M18 6 6 18',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  edit: 'M4 20h4L19 9l-4-4L4 16v4Zm9-13 4 4',
  globe: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3 12h18M12 3c2.5 2.6 3.7 5.6 3.7 9s-1.200 6.400-3.700 9c-2.500-2.600-3.700-5.600-3.700-9S9.500 5.600 12 3Z',
  give: 'M4 5v6a4 4 0 0 0 4 4h12m-5-5 5 5-5 5',
  grip: 'M9 6h.01M9 12h.01M9 18h.01M15 6h.01M15 12h.01M15 18h.01',
  hourglass: 'M6 3h12M6 21h12M7 3v3.500c0 2.500 5 4 5 5.500s-5 3-5 5.500V21M17 3v3.500c0 2.500-5 4-5 5.500s5 3 5 5.500V21',
  menu: 'M4 7h16M4 12h16M4 17h10',
  moon: 'M20 14.500A8 8 0 0 1 9.500 4 8 8 0 1 0 20 14.500Z',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  offline: 'M3 3l18 18M8.500 15.500a5 5 0 0 1 7 0M5 12a10 10 0 0 1 4-2.400m5.500.2A10 10 0 0 1 19 12M2 8.500a15 15 0 0 1 4-2.700m4.500-1.100A15 15 0 0 1 22 8.500M12 19h.01',
  paperclip: 'm20 11.500-8.500 8.500a5 5 0 0 1-7-7L13 4.500a3.300 3.300 0 0 1 4.700 4.700l-8.500 8.500a1.700 1.700 0 0 1-2.400-2.400l7.700-7.800',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.500v15l12-7.500-12-7.500Z',
  plus: 'M12 5v14M5 12h14',
  refresh: 'M20 11a8 8 0 0 0-14.500-4L3 9.500M3 4v5.500h5.500M4 13a8 8 0 0 0 14.500 4l2.500-2.500m0 5.500v-5.500h-5.500',
  scissors: 'M6 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm0 12a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM20 4 8.200 15.800M14.500 14.500 20 20M8.200 8.200 12 12',
  share: 'M12 15V3m-4.500 4L12 3l4.500 4M5 12v8h14v-8',
  skull: 'M12 3a8 8 0 0 0-5 14.200V20h10v-2.800A8 8 0 0 0 12 3ZM9 12h.01M15 12h.01M10.500 20v-2m3 2v-2',
  snail: 'M3 19h13a5 5 0 1 0-5-5 2.500 2.500 0 1 0 5 0M3 19c3 0 4-2 4-5M16 19h3a2 2 0 0 0 2-2V8m0 0-2-3m2 3 1-3',
  split: 'M4 5h16v14H4zM12 5v14',
  stop: 'M7 7h10v10H7z',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-6v2m0 16v2M2 12h2m16 0h2M5 5l1.400 1.400m11.200 11.200L19 19M19 5l-1.400 1.400M6.400 17.600 5 19',
  tool: 'M14.500 6.500a4 4 0 0 0 5 5L11 20a2.800 2.800 0 0 1-4-4l8.500-8.500a4 4 0 0 1-1-1Zm0 0 3-3a4.500 4.500 0 0 1 3 3l-3 3',
  trash: 'M4 7h16M9 7V4h6v3m-8.500 0 1 13h9l1-13',
  waves: 'M3 8c3-3 6-3 9 0s6 3 9 0M3 13c3-3 6-3 9 0s6 3 9 0M3 18c3-3 6-3 9 0s6 3 9 0',
  wire: 'M4 6h10M4 12h16M4 18h7M18 6h2M15 18h5',
} as const;

export type IconName = keyof typeof PATHS;

/** Icons of dots. */
const DOTTED = /^(grip|more)$/;

export function Icon({ name, className = 'size-4' }: { name: IconName; className?: string }) {
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 24 24"
      fill={name === 'stop' ? 'currentColor' : 'none'}
      stroke="currentColor"
      strokeWidth={DOTTED.test(name) ? 2.75 : 1.75}
      strokeLinecap="round"
      strokeLinejoin="round"
      className={`shrink-0 ${className}`}
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
