// The peer that a team would build otherwise: ai 7 and resumable-stream on Node, as the AI SDK's
// "Chatbot Resume Streams" shows it, with the chats in memory instead of a database and one
// resumable-stream context instead of one (two connections to Redis) for each request.
//
//   REDIS_URL=redis://127.0.0.1:6379 node peer.mjs PORT http://127.0.0.1:9999

import { createServer } from 'node:http';
import { createAnthropic } from '@ai-sdk/anthropic';
import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  generateId,
  streamText,
  toUIMessageStream,
  UI_MESSAGE_STREAM_HEADERS,
} from 'ai';
import { createResumableStreamContext } from 'resumable-stream';

const [port, upstream] = process.argv.slice(2);
const anthropic = createAnthropic({ baseURL: `${upstream}/v1`, apiKey: 'bench' });
const streams = createResumableStreamContext({ waitUntil: null });
const activeStreams = new Map();

async function send({ id, messages }) {
  activeStreams.delete(id);
  const result = streamText({
    model: anthropic('bench'),
    messages: await convertToModelMessages(messages),
  });
  return createUIMessageStreamResponse({
    stream: toUIMessageStream({
      stream: result.stream,
      originalMessages: messages,
      generateMessageId: generateId,
      onEnd: () => activeStreams.delete(id),
    }),
    async consumeSseStream({ stream }) {
      const streamId = generateId();
      await streams.createNewResumableStream(streamId, () => stream);
      activeStreams.set(id, streamId);
    },
  });
}

async function resume(id) {
  const streamId = activeStreams.get(id);
  if (streamId === undefined) return new Response(null, { status: 204 });
  return new Response(await streams.resumeExistingStream(streamId), {
    headers: UI_MESSAGE_STREAM_HEADERS,
  });
}

async function write(answer, response) {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  const reader = answer.body?.getReader();
  response.on('close', () => reader?.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) break;
    if (!response.write(value)) {
      await new Promise((resolve) => {
        response.once('drain', resolve);
        response.once('close', resolve);
      });
    }
  }
  response.end();
}

const server = createServer(async (request, response) => {
  let body = '';
  for await (const piece of request.setEncoding('utf8')) body += piece;
  const [, id] = /^\/api\/chat\/([^/]+)\/stream$/.exec(request.url) ?? [];
  // The page that is measured in a browser comes from another port.
  response.setHeader('access-control-allow-origin', '*');
  response.setHeader('access-control-allow-headers', '*');
  if (request.method === 'OPTIONS') return void response.writeHead(204).end();
  await write(id === undefined ? await send(JSON.parse(body)) : await resume(id), response);
});
server.listen(Number(port), '127.0.0.1', 2048);
