// What a route of the AI SDK sends for a prompt, as `toUIMessageStreamResponse` writes it, with an
// error's own words.

import { isStepCount, jsonSchema, streamText, tool, toUIMessageStream } from 'ai7';

import { providers } from './providers.mjs';

const object = properties => ({ type: 'object', properties, required: Object.keys(properties) });
const integers = validated(object({ one: { type: 'integer' }, two: { type: 'integer' } }));

/** A schema with the check that a schema library would bring. */
function validated(schema) {
  const fits = value => Object.keys(schema.properties).every(name => Number.isInteger(value[name]));
  const validate = value => (fits(value) ? { success: true, value } : { success: false, error: new Error('it does not fit') });
  return jsonSchema(schema, { validate });
}

/** `add` of two integers, `pay`, which a person must allow, `hang`, at whose start the request is
 * aborted, and `where`, which the client answers. */
export const toolsOf = stop => ({
  add: tool({ inputSchema: integers, execute: ({ one, two }) => one + two }),
  pay: tool({ inputSchema: jsonSchema(object({})), execute: () => 'paid', needsApproval: true }),
  hang: tool({ inputSchema: jsonSchema(object({})), execute: () => (stop.abort(), new Promise(() => {})) }),
  where: tool({ inputSchema: jsonSchema(object({})) }),
});

/** As many as an agent takes by default. */
const MAX_STEPS = 20;

const messageOf = error => (error instanceof Error ? error.message : JSON.stringify(error));

/**
 * Returns the chunks of the whole answer. After `stopAfter` text deltas the request is aborted. A
 * stream that breaks ends with `{"type": "broken"}`. `tools`: whether the tools above are there.
 */
export async function wholeRun({ provider, url, prompt, stopAfter, tools: hasTools }) {
  const { connect, path } = providers[provider];
  const stop = new AbortController();
  const tools = hasTools ? toolsOf(stop) : undefined;
  const result = streamText({
    model: connect({ apiKey: 'any', baseURL: url + path })('sim-instant'),
    messages: [{ role: 'user', content: prompt }],
    tools,
    stopWhen: isStepCount(MAX_STEPS),
    maxRetries: 0,
    abortSignal: stop.signal,
    onError: () => {},
  });
  const chunks = [];
  let deltas = 0;
  try {
    for await (const chunk of toUIMessageStream({ stream: result.stream, tools, onError: messageOf })) {
      chunks.push(chunk);
      if (chunk.type === 'text-delta' && ++deltas === stopAfter) stop.abort();
    }
  } catch (error) {
    chunks.push({ type: 'broken', error: String(error) });
  }
  return chunks;
}
