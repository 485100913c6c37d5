// Cases on standard input: {provider, model, system, messages, tools, toolChoice, settings, responseSchema, providerOptions}.
// (`ignoreIncomplete: false` sends calls without results, as a route does by default.)
// Prints the body that the AI SDK sends for each.
import { convertToModelMessages, jsonSchema, Output, streamText } from 'ai7';
import { answerCases, modelOf, toolsOf } from './openai_model.mjs';

await answerCases(async one => {
  let sent = null;
  const tools = toolsOf(one.tools);
  const choice = one.toolChoice;
  const result = streamText({
    model: modelOf(one, body => {
      sent = body;
      return '';
    }),
    system: one.system,
    messages: await convertToModelMessages(one.messages, { tools, ignoreIncompleteToolCalls: one.ignoreIncomplete ?? true }),
    tools,
    ...(choice ? { toolChoice: ['auto', 'none', 'required'].includes(choice) ? choice : { type: 'tool', toolName: choice } } : {}),
    ...(one.responseSchema === true ? { output: Output.json() } : {}),
    ...(one.responseSchema instanceof Object ? { output: Output.object({ schema: jsonSchema(one.responseSchema) }) } : {}),
    ...one.settings,
    providerOptions: one.providerOptions ?? {},
    allowSystemInMessages: true,
    maxRetries: 0,
    onError: ({ error }) => {
      if (sent === null) sent = { '@error': String(error?.message ?? error) };
    },
  });
  await result.consumeStream();
  return sent;
});
