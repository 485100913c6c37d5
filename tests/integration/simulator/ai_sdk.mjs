// Runs the AI SDK against the simulator, as an application would: one JSON line an answer.
//
// argv: base URL. stdin is this program, so that packages are found from the working folder.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { isStepCount, jsonSchema, streamText, tool } from 'ai7';

globalThis.AI_SDK_LOG_WARNINGS = false;
const base = process.argv[2];
const anthropic = createAnthropic({ baseURL: `${base}/anthropic/v1`, apiKey: 'any' });
const openai = createOpenAI({ baseURL: `${base}/openai/v1`, apiKey: 'any' });
const models = {
  anthropic: anthropic('sim-instant'),
  openai: openai.responses('sim-instant'),
  'openai-chat': openai.chat('sim-instant'),
};
const inputSchema = jsonSchema({
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
});
const tools = { weather: tool({ inputSchema, execute: async ({ city }) => `sunny in ${city}` }) };
const prompts = {
  text: 'Hi [[tokens=20]]',
  tools: '[[reasoning=9 steps=3]] [[tool=weather {"city": "Rome"}]]',
  sources: 'News [[sources=2]]',
  refusal: '[[refuse]]',
  error: '[[error=overloaded after=3]]',
  interrupted: '[[eof after=4]]',
};

for (const [provider, model] of Object.entries(models)) {
  for (const [name, prompt] of Object.entries(prompts)) {
    const answer = { provider, name, text: '', steps: 0, results: [], sources: 0, errors: [] };
    const run = streamText({
      model,
      prompt,
      tools,
      maxOutputTokens: 4000,
      stopWhen: isStepCount(5),
      maxRetries: 0,
      onError() {},
    });
    for await (const part of run.stream) {
      if (part.type === 'text-delta') answer.text += part.text;
      if (part.type === 'start-step') answer.steps += 1;
      if (part.type === 'tool-result' && !part.providerExecuted) answer.results.push(part.output);
      if (part.type === 'source') answer.sources += 1;
      if (part.type === 'error') answer.errors.push(String(part.error?.message ?? part.error));
      if (part.type === 'finish') {
        answer.finish = part.finishReason;
        answer.tokens = part.totalUsage.outputTokens;
      }
    }
    console.log(JSON.stringify(answer));
  }
}
