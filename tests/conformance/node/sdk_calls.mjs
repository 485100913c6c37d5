// Calls of the providers' own SDKs, one a line of standard input: {api, base, key, body, leaveAfter}.
// Prints what each came to: {events, answer, error}; `events` of a stream, up to where it was left.
import { createInterface } from 'node:readline';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const calls = {
  chat: ({ base, key }) => {
    const client = new OpenAI({ apiKey: key, baseURL: `${base}/openai/v1`, maxRetries: 0 });
    return body => client.chat.completions.create(body);
  },
  responses: ({ base, key }) => {
    const client = new OpenAI({ apiKey: key, baseURL: `${base}/openai/v1`, maxRetries: 0 });
    return body => client.responses.create(body);
  },
  messages: ({ base, key }) => {
    const client = new Anthropic({ apiKey: key, baseURL: `${base}/anthropic`, maxRetries: 0 });
    return body => client.messages.create(body);
  },
};

async function play({ api, body, leaveAfter, ...where }) {
  const came = { events: [] };
  try {
    const answer = await calls[api](where)(body);
    if (!body.stream) return { ...came, answer };
    for await (const event of answer) {
      came.events.push(event);
      if (came.events.length === leaveAfter) break;
    }
  } catch (error) {
    const { name, status, error: told, headers } = error;
    // How a connection broke is told by the machine, in words of its own.
    const said = status === undefined ? undefined : error.message;
    const after = headers?.get?.('retry-after');
    came.error = { kind: error.constructor.name, name, status, said, told, after };
  }
  return came;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await play(JSON.parse(line))));
}
