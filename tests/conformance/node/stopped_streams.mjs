// What the SDKs' own stream helpers take for the whole answer: one {api, data} a line, data in base64.
// Prints {text, reason}, or {error}: the helper found no proper end.
import { createInterface } from 'node:readline';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

const helpers = {
  chat: async options => {
    const stream = new OpenAI(options).chat.completions.stream({ model: 'm', messages: [] });
    const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
    return { text: message.content ?? '', reason: finish_reason };
  },
  responses: async options => {
    const stream = new OpenAI(options).responses.stream({ model: 'm', input: 'x' });
    const { output_text, status } = await stream.finalResponse();
    return { text: output_text ?? '', reason: status };
  },
  messages: async options => {
    const stream = new Anthropic(options).messages.stream({ model: 'm', max_tokens: 9, messages: [] });
    const { content, stop_reason } = await stream.finalMessage();
    const texts = content.filter(block => block.type === 'text').map(block => block.text);
    return { text: texts.join(''), reason: stop_reason };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { api, data } = JSON.parse(line);
  const headers = { 'content-type': 'text/event-stream' };
  const fetch = async () => new Response(Buffer.from(data, 'base64'), { headers });
  const came = helpers[api]({ apiKey: 'x', maxRetries: 0, fetch });
  console.log(JSON.stringify(await came.catch(error => ({ error: String(error) }))));
}
