import { asSchema, uiMessageChunkSchema } from 'ai';

/** For each version, newest first, a chunk that no older version accepts. */
const PROBES: readonly [version: number | string, chunk: object][] = [
  ['7.0.163', { type: 'steering-message', id: 'probe', parts: [] }],
  [7, { type: 'reset-step' }],
  [6, { type: 'tool-output-denied', toolCallId: 'probe' }],
];
const OLDEST = 5;

let found: Promise<number | string> | undefined;

/**
 * Return the version of the installed AI SDK, as far as the gateway needs it. The `ai` package does not export its version,
 * and reading its package.json breaks some bundlers. Its schema of chunks tells which chunks it
 * accepts, and that is what the gateway needs to know. (Every bundle with a chat contains the
 * schema: the stock transport checks chunks with it.)
 */
export function aiVersion(): Promise<number | string> {
  return (found ??= probe());
}

async function probe(): Promise<number | string> {
  const schema = asSchema(
    uiMessageChunkSchema as Parameters<typeof asSchema>[0],
  );
  for (const [version, chunk] of PROBES) {
    if ((await schema.validate?.(chunk))?.success === true) return version;
  }
  return OLDEST;
}
