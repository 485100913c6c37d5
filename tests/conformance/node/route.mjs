// A route of the AI SDK, as an application has it; serve_route.mjs serves it.
//
// It takes messages for its running answers at /api/chat/steer.
// Its tools: one that runs here, one that the client runs, and one that a person must allow.

import { anthropic } from '@ai-sdk/anthropic';
import { convertToModelMessages, experimental_createSteering, isStepCount, streamText, tool } from 'ai7';
import { z } from 'zod';

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

const running = new Map();

async function steer(request) {
  const { runId, message } = await request.json();
  const steering = running.get(runId);
  if (!steering) return Response.json({ type: 'not-delivered', reason: 'finished' }, { status: 404 });
  const [said] = await convertToModelMessages([message]);
  const outcome = steering.steer(said, { id: message.id });
  console.log('steered', message.id); // a test waits for it
  const { type, reason, stepNumber } = await outcome;
  return Response.json({ type, reason, stepNumber });
}

export async function POST(request) {
  if (new URL(request.url).pathname.endsWith('/steer')) return steer(request);
  const { messages } = await request.json();
  const run = request.headers.get('x-midstream-run-id');
  const steering = experimental_createSteering();
  running.set(run, steering);
  const result = streamText({
    model: anthropic('sim-instant'),
    messages: await convertToModelMessages(messages),
    tools,
    toolApproval: { book: 'user-approval' },
    stopWhen: isStepCount(5),
    abortSignal: request.signal,
    experimental_steering: steering,
    onError: () => {},
    onEnd: () => running.delete(run),
  });
  return result.toUIMessageStreamResponse({
    originalMessages: messages,
    messageMetadata: ({ part }) => (part.type === 'finish' ? { by: 'route' } : undefined),
  });
}
