// What the AI SDK makes of a case. Reads cases from standard input, one a line of JSON, and prints
// an answer for each, in order; `{"@error": "..."}` where the AI SDK throws.
//
// {ask: "request", provider, model, system, messages, tools, toolChoice, settings, responseSchema, providerOptions}
//   What it sends: {body, betas}. `ignoreIncomplete: false` sends calls without results, as a route does
//   by default.
// {ask: "stream", provider, model, events, tools, responseSchema, providerOptions}
//   What it makes of a provider's events, each its JSON as text: {chunks, finishReason, rawFinishReason, usage}.
// {ask: "run", provider, url, prompt, ...}
//   What a route sends: see `whole_run.mjs`.
// {ask: "steer", provider, url, prompt, release, text, ...}
//   What becomes of a message for the running answer: see `steered_run.mjs`.
import { createInterface } from 'node:readline';
import { convertToModelMessages, jsonSchema, Output, streamText, tool, toUIMessageStream } from 'ai7';

import { providers } from './providers.mjs';
import { steeredRun } from './steered_run.mjs';
import { wholeRun } from './whole_run.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const CHOICES = ['auto', 'none', 'required'];

/**
 * Build the tools of a case: `{type: 'function', name, inputSchema, ...}` or `{type: 'provider', id, name, args}`.
 * Further fields of a function are the AI SDK's (`strict`, `inputExamples`, `providerOptions`);
 * `content` says that its outputs are what models read, as it is.
 */
function toolsOf({ provider, tools }) {
  if (!tools?.length) return undefined;
  const { tools: own, tool: over } = providers[provider];
  return Object.fromEntries(
    tools.map(({ type, name, id, args = {}, description, inputSchema, content, ...more }) => [
      name,
      type === 'function'
        ? tool({ ...more, ...(content ? { toModelOutput: ({ output }) => output } : {}), description, inputSchema: jsonSchema(inputSchema) })
        : { ...own.makers[own.nameOf(id.split('.')[1])](args), ...over },
    ]),
  );
}

/** The case's model; `answer(body, headers)` is its server, and returns SSE text. */
function modelOf({ provider, model }, answer) {
  let ids = 0;
  const { connect, model: usual } = providers[provider];
  const modelById = connect({
    apiKey: 'test',
    baseURL: 'http://localhost/v1',
    fetch: async (_url, init) =>
      new Response(answer(JSON.parse(init.body), new Headers(init.headers)), {
        headers: { 'content-type': 'text/event-stream' },
      }),
    generateId: () => `gen-${ids++}`,
  });
  return modelById(model ?? usual);
}

/** What every call of a case is given. */
function optionsOf({ system, toolChoice: choice, responseSchema: schema, settings, providerOptions = {} }, tools) {
  return {
    system,
    tools,
    ...(choice ? { toolChoice: CHOICES.includes(choice) ? choice : { type: 'tool', toolName: choice } } : {}),
    ...(schema === true ? { output: Output.json() } : {}),
    ...(schema instanceof Object ? { output: Output.object({ schema: jsonSchema(schema) }) } : {}),
    ...settings,
    providerOptions,
    maxRetries: 0,
  };
}

async function request(one) {
  let sent = null;
  const tools = toolsOf(one);
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
}

const textOf = error => (error instanceof Error ? error.message : typeof error === 'string' ? error : JSON.stringify(error));

async function stream(one) {
  const tools = toolsOf(one);
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
}

const asks = { request, stream, run: wholeRun, steer: steeredRun };
for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...one } = JSON.parse(line);
  const answer = await asks[ask](one).catch(error => ({ '@error': String(error?.message ?? error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
