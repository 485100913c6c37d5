// A route of the AI SDK, as an application has it; serve_route.mjs serves it.
//
// Its tools: one that runs here, one that the client runs, and one that a person must allow.

import { anthropic } from '@ai-sdk/anthropic';
import { convertToModelMessages, isStepCount, streamText, tool } from 'ai7';
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

export async function POST(request) {
  const { messages } = await request.json();
  const result = streamText({
    model: anthropic('sim-instant'),
    messages: await convertToModelMessages(messages),
    tools,
    toolApproval: { book: 'user-approval' },
    stopWhen: isStepCount(5),
    abortSignal: request.signal,
    onError: () => {},
  });
  return result.toUIMessageStreamResponse({
    originalMessages: messages,
    messageMetadata: ({ part }) => (part.type === 'finish' ? { by: 'route' } : undefined),
  });
}
