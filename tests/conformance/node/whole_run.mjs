// One case on standard input: {provider, url, prompt, stopAfter, tools, maxSteps}.
// Prints what a route of the AI SDK sends for the prompt, one chunk a line: the whole answer, as
// `toUIMessageStreamResponse` writes it, with an error's own words. `stopAfter` text deltas the
// request is aborted. A stream that breaks is a last line `{"type": "broken"}`. `tools`: whether these are
// there: `add` of two integers, `pay`, which a person must allow, `hang`, at whose start the request is
// aborted, and `where`, which the client answers.

import { text } from 'node:stream/consumers';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { isStepCount, jsonSchema, streamText, tool, toUIMessageStream } from 'ai7';

const one = JSON.parse(await text(process.stdin));
const apiKey = 'any';
const models = {
  anthropic: () => createAnthropic({ apiKey, baseURL: `${one.url}/anthropic/v1` })('sim-instant'),
  openai: () => createOpenAI({ apiKey, baseURL: `${one.url}/openai/v1` }).responses('sim-instant'),
  'openai-chat': () => createOpenAI({ apiKey, baseURL: `${one.url}/openai/v1` }).chat('sim-instant'),
};

const stop = new AbortController();
const object = properties => ({ type: 'object', properties, required: Object.keys(properties) });
const integers = validated(object({ one: { type: 'integer' }, two: { type: 'integer' } }));
const tools = {
  add: tool({ inputSchema: integers, execute: ({ one, two }) => one + two }),
  pay: tool({ inputSchema: jsonSchema(object({})), execute: () => 'paid', needsApproval: true }),
  hang: tool({ inputSchema: jsonSchema(object({})), execute: () => (stop.abort(), new Promise(() => {})) }),
  where: tool({ inputSchema: jsonSchema(object({})) }),
};

/** A schema with the check that a schema library would bring. */
function validated(schema) {
  const fits = value => Object.keys(schema.properties).every(name => Number.isInteger(value[name]));
  const validate = value => (fits(value) ? { success: true, value } : { success: false, error: new Error('it does not fit') });
  return jsonSchema(schema, { validate });
}

const result = streamText({
  model: models[one.provider](),
  messages: [{ role: 'user', content: one.prompt }],
  ...(one.tools ? { tools } : {}),
  stopWhen: isStepCount(one.maxSteps ?? 1),
  maxRetries: 0,
  abortSignal: stop.signal,
  onError: () => {},
});
const messageOf = error => (error instanceof Error ? error.message : JSON.stringify(error));
let deltas = 0;
try {
  for await (const chunk of toUIMessageStream({ stream: result.stream, tools: one.tools ? tools : undefined, onError: messageOf })) {
    console.log(JSON.stringify(chunk));
    if (chunk.type === 'text-delta' && ++deltas === one.stopAfter) stop.abort();
  }
} catch (error) {
  console.log(JSON.stringify({ type: 'broken', error: String(error) }));
}
process.exit(0);
