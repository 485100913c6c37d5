/**
 * The rooms of both packages, highest first. A room is a folder, or a file that stands in none.
 *
 * A file may import from its own room and from rooms of a lower line, never from another room of
 * the same line, nor from above.
 */
export type Layers = readonly (readonly string[])[];

/** The npm package: `transport/src`. Its page, `transport/docs/transport.md`, says what is where. */
export const TRANSPORT: Layers = [
  ['index.ts', 'react.ts'],
  ['session.ts'],
  ['queue.ts', 'branches.ts'],
  ['transport.ts'],
  ['feed', 'merge.ts'],
  ['run'],
  ['net'],
  ['errors.ts'],
];

/** The demo: `app/src`. */
export const APP: Layers = [
  ['main.tsx'],
  // The page, and one session on it.
  ['app'],
  // Its parts: the chat, the bar that breaks it, sharing, the list of sessions, the log.
  ['chat', 'chaos', 'share', 'sidebar', 'wire'],
  // The messages of a chat, and all that one of them shows; those that wait for their turn.
  ['messages', 'queue'],
  // Text laid out; `useChat` with the session sync, and its state in words.
  ['markdown', 'session'],
  // The tab's own fetch, which the demo can break, and the gateway's other requests.
  ['network'],
  // What the browser keeps; buttons and icons; names and times for people.
  ['page', 'ui', 'words'],
];
