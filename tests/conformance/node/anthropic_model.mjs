// What both Anthropic drivers share: a model of the AI SDK's whose server is a local function.
import { createInterface } from 'node:readline';
import { createAnthropic, anthropic } from '@ai-sdk/anthropic';
import { jsonSchema, Output, tool } from 'ai7';

// web_search_20250305 -> webSearch_20250305
const camel = name => name.replace(/_([a-z])/g, (_, c) => c.toUpperCase());

/** Build the tools of a case: `{type: 'function', name, inputSchema}` or `{type: 'provider', id, name, args}`. */
export function toolsOf(declarations) {
  if (!declarations?.length) return undefined;
  return Object.fromEntries(
    declarations.map(declared => {
      if (declared.type === 'function') {
        const { description, inputSchema } = declared;
        return [declared.name, tool({ description, inputSchema: jsonSchema(inputSchema) })];
      }
      // Of a tool's own schemas nothing is wanted here: what a call looks like is tested without them.
      const made = anthropic.tools[camel(declared.id.split('.')[1])](declared.args ?? {});
      return [declared.name, { ...made, inputSchema: jsonSchema({ type: 'object' }) }];
    }),
  );
}

/** Return the options of a case that every call shares. */
export function optionsOf(one, tools) {
  const choice = one.toolChoice;
  return {
    system: one.system,
    tools,
    ...(choice ? { toolChoice: ['auto', 'none', 'required'].includes(choice) ? choice : { type: 'tool', toolName: choice } } : {}),
    ...(one.responseSchema ? { output: Output.object({ schema: jsonSchema(one.responseSchema) }) } : {}),
    ...one.settings,
    providerOptions: one.providerOptions ?? {},
    maxRetries: 0,
  };
}

/** Return the case's model; `answer(body, headers)` is the server, and returns SSE text. */
export function modelOf(one, answer) {
  let ids = 0;
  return createAnthropic({
    apiKey: 'test',
    baseURL: 'http://localhost/v1',
    fetch: async (_url, init) =>
      new Response(answer(JSON.parse(init.body), new Headers(init.headers)), {
        headers: { 'content-type': 'text/event-stream' },
      }),
    generateId: () => `gen-${ids++}`,
  })(one.model ?? 'claude-sonnet-4-5');
}

/** Read cases from standard input, one a line, and print one line of JSON for each. */
export async function answerCases(solve) {
  for await (const text of createInterface({ input: process.stdin })) {
    let line;
    try {
      line = await solve(JSON.parse(text));
    } catch (error) {
      line = { '@error': String(error?.message ?? error) };
    }
    console.log(JSON.stringify(line));
  }
}
