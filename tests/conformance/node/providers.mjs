// The AI SDK's providers, and what is particular to each. To add one, add an entry here and in
// `tests/conformance/oracle.py`.
//
// connect: from the options of a connection to what makes a model of its id
// path: of its API, below a server that speaks every provider's API, as the simulator does
// model: of a case that names none
// tools: makers of the tools that the provider itself executes or defines, and how an API's name
//   of one becomes a maker's
// tool: fields that replace those of such a tool

import { createAnthropic, anthropic } from '@ai-sdk/anthropic';
import { createOpenAI, openai } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { OpenAIResponsesLanguageModel } from '@ai-sdk/openai/internal';
import { jsonSchema } from 'ai7';

// web_search_20250305 -> webSearch_20250305
const camel = name => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const openaiTool = name => (name === 'custom' ? 'customTool' : camel(name));

export const providers = {
  anthropic: {
    connect: options => createAnthropic(options),
    path: '/anthropic/v1',
    model: 'claude-sonnet-4-5',
    tools: { makers: anthropic.tools, nameOf: camel },
    // Of a tool's own schemas nothing is wanted: what a call looks like is tested without them.
    tool: { inputSchema: jsonSchema({ type: 'object' }) },
  },
  'openai-responses': {
    connect: options => createOpenAI(options).responses,
    path: '/openai/v1',
    model: 'gpt-4o',
    tools: { makers: openai.tools, nameOf: openaiTool },
  },
  // As @ai-sdk/azure makes it (`createResponsesModel`), which brings an older @ai-sdk/openai.
  azure: {
    connect: ({ baseURL, fetch, generateId }) => id =>
      new OpenAIResponsesLanguageModel(id, {
        provider: 'azure.responses',
        url: ({ path }) => `${baseURL}${path}`,
        headers: () => ({ 'api-key': 'test' }),
        fetch,
        generateId,
        fileIdPrefixes: ['assistant-'],
      }),
    path: '/openai/v1',
    model: 'gpt-4o',
    tools: { makers: openai.tools, nameOf: openaiTool },
  },
  'openai-chat': {
    connect: options => createOpenAI(options).chat,
    path: '/openai/v1',
    model: 'gpt-4o',
    tools: { makers: openai.tools, nameOf: openaiTool },
  },
  'openai-compatible': {
    connect: options => createOpenAICompatible({ ...options, name: 'acme', includeUsage: true }),
    path: '/openai/v1',
    model: 'acme-1',
    tools: { makers: {}, nameOf: camel },
  },
};
