// Cases on standard input: {model, system, messages, tools, toolChoice, settings, responseSchema, providerOptions}.
// (`ignoreIncomplete: false` sends calls without results, as a route does by default.)
// Prints for each what the AI SDK sends: {body, betas}.
import { convertToModelMessages, streamText } from 'ai7';
import { answerCases, modelOf, optionsOf, toolsOf } from './anthropic_model.mjs';

await answerCases(async one => {
  let sent = null;
  const tools = toolsOf(one.tools);
  const result = streamText({
    ...optionsOf(one, tools),
    model: modelOf(one, (body, headers) => {
      sent = { body, betas: (headers.get('anthropic-beta') ?? '').split(',').filter(Boolean).sort() };
      return '';
    }),
    messages: await convertToModelMessages(one.messages, { tools, ignoreIncompleteToolCalls: one.ignoreIncomplete ?? true }),
    allowSystemInMessages: true,
    onError: ({ error }) => {
      sent ??= { '@error': String(error?.message ?? error) };
    },
  });
  await result.consumeStream();
  return sent;
});
