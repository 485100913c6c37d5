// What both OpenAI drivers share: a model of the AI SDK's whose server is a local function.
import { createInterface } from 'node:readline';
import { createOpenAI, openai } from '@ai-sdk/openai';
import { jsonSchema, tool } from 'ai7';

const camel = name => name.replace(/_([a-z0-9])/g, (_, c) => c.toUpperCase());

/** Build the tools of a case: `{type: 'function', name, inputSchema}` or `{type: 'provider', id, name, args}`. */
export function toolsOf(declarations) {
  if (!declarations?.length) return undefined;
  return Object.fromEntries(
    declarations.map(declared => {
      if (declared.type === 'function') {
        const { description, inputSchema } = declared;
        return [declared.name, tool({ description, inputSchema: jsonSchema(inputSchema) })];
      }
      const kind = declared.id.split('.')[1];
      const factory = openai.tools[kind === 'custom' ? 'customTool' : camel(kind)];
      return [declared.name, factory(declared.args ?? {})];
    }),
  );
}

/** Return the case's model; `answer(body)` is the server: it gets the request, and returns SSE text. */
export function modelOf({ provider, model }, answer) {
  let ids = 0;
  const sdk = createOpenAI({
    apiKey: 'test',
    baseURL: 'http://localhost/v1',
    fetch: async (_url, init) =>
      new Response(answer(JSON.parse(init.body)), {
        headers: { 'content-type': 'text/event-stream' },
      }),
    generateId: () => `gen-${ids++}`,
  });
  return provider === 'openai-chat' ? sdk.chat(model) : sdk.responses(model);
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
