// One case on standard input: {provider, url, prompt, stopAfter}.
// Prints what a route of the AI SDK sends for the prompt, one chunk a line: the whole answer, as
// `toUIMessageStreamResponse` writes it, with an error's own words. `stopAfter` text deltas the
// request is aborted. A stream that breaks is a last line `{"type": "broken"}`.

import { text } from 'node:stream/consumers';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { streamText, toUIMessageStream } from 'ai7';

const one = JSON.parse(await text(process.stdin));
const apiKey = 'any';
const models = {
  anthropic: () => createAnthropic({ apiKey, baseURL: `${one.url}/anthropic/v1` })('sim-instant'),
  openai: () => createOpenAI({ apiKey, baseURL: `${one.url}/openai/v1` }).responses('sim-instant'),
  'openai-chat': () => createOpenAI({ apiKey, baseURL: `${one.url}/openai/v1` }).chat('sim-instant'),
};

const stop = new AbortController();
const result = streamText({
  model: models[one.provider](),
  messages: [{ role: 'user', content: one.prompt }],
  maxRetries: 0,
  abortSignal: stop.signal,
  onError: () => {},
});
const messageOf = error => (error instanceof Error ? error.message : JSON.stringify(error));
let deltas = 0;
try {
  for await (const chunk of toUIMessageStream({ stream: result.stream, onError: messageOf })) {
    console.log(JSON.stringify(chunk));
    if (chunk.type === 'text-delta' && ++deltas === one.stopAfter) stop.abort();
  }
} catch (error) {
  console.log(JSON.stringify({ type: 'broken', error: String(error) }));
}
process.exit(0);
