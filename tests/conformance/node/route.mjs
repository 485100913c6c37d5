// A route of the AI SDK, as an application has it: POST /api/chat on 127.0.0.1.
//
//   node route.mjs PORT PROVIDER_URL
//
// Its tools: one that runs here, one that the client runs, and one that a person must allow.

import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { createAnthropic } from '@ai-sdk/anthropic';
import { convertToModelMessages, isStepCount, streamText, tool } from 'ai7';
import { z } from 'zod';

const [port, url] = process.argv.slice(2);
const anthropic = createAnthropic({ apiKey: 'any', baseURL: `${url}/anthropic/v1` });

const tools = {
  add: tool({
    inputSchema: z.object({ one: z.number(), two: z.number() }),
    execute: async ({ one, two }) => one + two,
  }),
  where: tool({ inputSchema: z.object({}) }),
  book: tool({
    inputSchema: z.object({ train: z.string() }),
    execute: async ({ train }) => `booked ${train}`,
  }),
};

async function answer({ messages }, signal) {
  const result = streamText({
    model: anthropic('sim-instant'),
    messages: await convertToModelMessages(messages),
    tools,
    toolApproval: { book: 'user-approval' },
    stopWhen: isStepCount(5),
    abortSignal: signal,
    onError: () => {},
  });
  return result.toUIMessageStreamResponse({
    originalMessages: messages,
    messageMetadata: ({ part }) => (part.type === 'finish' ? { by: 'route' } : undefined),
  });
}

createServer(async (request, response) => {
  if (request.method !== 'POST') return response.end();
  const leaving = new AbortController();
  response.on('close', () => leaving.abort());
  const { status, headers, body } = await answer(await json(request), leaving.signal);
  response.writeHead(status, Object.fromEntries(headers));
  Readable.fromWeb(body).on('error', () => response.destroy()).pipe(response);
}).listen(Number(port), '127.0.0.1');
