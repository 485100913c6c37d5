// Cases on standard input: {model, events, tools, responseSchema, providerOptions}; an event is its JSON as text.
// Prints for each what the AI SDK makes of it: {chunks, finishReason, rawFinishReason, usage}.
import { streamText, toUIMessageStream } from 'ai7';
import { answerCases, modelOf, optionsOf, toolsOf } from './anthropic_model.mjs';

const textOf = error => (error instanceof Error ? error.message : typeof error === 'string' ? error : JSON.stringify(error));

await answerCases(async one => {
  const tools = toolsOf(one.tools);
  const result = streamText({
    ...optionsOf(one, tools),
    model: modelOf(one, () => one.events.map(event => `data: ${event}\n\n`).join('')),
    messages: [{ role: 'user', content: 'Hello' }],
    onError: () => {},
  });
  const chunks = [];
  const stream = toUIMessageStream({ stream: result.stream, tools, sendSources: true, onError: textOf });
  for await (const chunk of stream) chunks.push(chunk);
  const step = await result.steps.then(steps => steps.at(-1), () => undefined);
  return {
    chunks,
    finishReason: step?.finishReason,
    rawFinishReason: step?.rawFinishReason,
    usage: step?.usage,
  };
});
