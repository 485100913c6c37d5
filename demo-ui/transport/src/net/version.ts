import { asSchema, uiMessageChunkSchema } from 'ai';

/** A chunk that only so new a version of the AI SDK accepts, newest first. */
const PROBES: readonly [version: number, chunk: object][] = [
  [7, { type: 'reset-step' }],
  [6, { type: 'tool-output-denied', toolCallId: 'probe' }],
];
const OLDEST = 5;

let found: Promise<number> | undefined;

/**
 * The major version of the AI SDK beside us. The `ai` package does not export its version, and
 * reading its package.json breaks some bundlers. So its own schema of chunks is asked what it
 * accepts: that is what the gateway wants to know. (The schema is in every bundle that has a
 * chat: the stock transport checks chunks with it.)
 */
export function aiVersion(): Promise<number> {
  return (found ??= probe());
}

async function probe(): Promise<number> {
  const schema = asSchema(
    uiMessageChunkSchema as Parameters<typeof asSchema>[0],
  );
  for (const [version, chunk] of PROBES) {
    if ((await schema.validate?.(chunk))?.success === true) return version;
  }
  return OLDEST;
}
