/**
 * The major version of the AI SDK beside us. The `ai` package does not export its version, and
 * reading its package.json breaks some bundlers. So its own schema of chunks is asked what it
 * accepts: that is what the gateway wants to know. (The schema is in every bundle that has a
 * chat: the stock transport checks chunks with it.)
 */
export declare function aiVersion(): Promise<number>;
