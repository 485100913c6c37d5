// Hosts real AI SDK chats for a test that is written elsewhere.
//
// Reads one command a line from stdin, writes one answer a line to stdout:
//   {"id": 1, "command": "send", "chat": "a", ...} -> {"id": 1, "result": ...} | {"id": 1, "error": "..."}
// A chat is the package's own AbstractChat over one of its own transports; only its state,
// which every framework brings itself, is an array here.

import { createInterface } from 'node:readline';

import { ChatOfAi4 } from './chat_of_ai4.mjs';

const transports = {
  default: (ai, options) => new ai.DefaultChatTransport(options),
  // As `useChat` hands it to its chat: in ai 6 without the word that a resume is a replay.
  hook: (ai, options) => {
    const transport = new ai.DefaultChatTransport(options);
    const { resumeStreamIsReplay } = transport;
    return {
      ...(ai.WebSocketChatTransport && { resumeStreamIsReplay }), // ai 7
      sendMessages: request => transport.sendMessages(request),
      reconnectToStream: request => transport.reconnectToStream(request),
    };
  },
  text: (ai, options) => new ai.TextStreamChatTransport(options),
  websocket: (ai, { api }) => new ai.WebSocketChatTransport({ url: api }),
  workflow: async (ai, options) => {
    const { WorkflowChatTransport } = await import('@ai-sdk/workflow/client');
    return new WorkflowChatTransport({
      ...options,
      prepareSendMessagesRequest: ({ id, messages, trigger, messageId }) => ({
        body: { id, messages, trigger, messageId },
      }),
    });
  },
  // As a page of the documentation makes one.
  recipe: (ai, { api, body, fetch }, source) => {
    class Transport extends ai.DefaultChatTransport {
      constructor(options) {
        super({ ...options, api, body, fetch });
      }
    }
    const made = source.replace(/^import.*$/gm, '').replace('export const transport =', 'return');
    return new Function('DefaultChatTransport', made)(Transport);
  },
  // As it comes: the gateway hears of no chat id.
  'workflow-plain': async (ai, options) => {
    const { WorkflowChatTransport } = await import('@ai-sdk/workflow/client');
    return new WorkflowChatTransport(options);
  },
};

class ArrayState {
  status = 'ready';
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = message => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, message);
  };

  snapshot = value => structuredClone(value);
}

const chats = new Map();

async function open({ chat, ai: major, transport, api, chatId, messages = [], resubmit = false, body, recipe, queues = false }) {
  const record = { requests: [], finishes: [], under_way: Promise.resolve() };
  const countingFetch = async (url, init) => {
    const request = { method: init?.method ?? 'GET', url: String(url), status: null };
    request.length = init?.body?.length ?? 0;
    record.requests.push(request);
    const response = await fetch(url, init);
    request.status = response.status;
    return response;
  };
  const state = new ArrayState(messages);
  record.state = state;
  chats.set(chat, record);
  if (major === 4) {
    const onFinish = finish => record.finishes.push(finish);
    record.chat = new ChatOfAi4({ id: chatId, state, api, fetch: countingFetch, onFinish, resubmit, body });
    return;
  }
  const ai = await import(`ai${major}`);
  class Chat extends ai.AbstractChat {}
  record.chat = new Chat({
    id: chatId,
    state,
    transport: await transports[transport](ai, { api, body, fetch: countingFetch }, recipe),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
      record.finishes.push({ isAbort, isDisconnect, isError, finishReason }),
    onError: () => {},
    ...(queues && { experimental_queue: true }),
    ...(resubmit && {
      sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithToolCalls,
    }),
  });
}

function look({ chat }) {
  const { state, finishes, requests } = chats.get(chat);
  return {
    status: state.status,
    error: state.error === undefined ? null : String(state.error.message),
    messages: state.messages,
    finishes,
    requests,
    queued: chats.get(chat).chat.experimental_queuedMessages ?? [],
  };
}

// Starts an action of the chat; `settle` waits for its end.
function start(record, action) {
  record.under_way = Promise.allSettled([record.under_way, action]);
}

const textLength = message =>
  message.parts.reduce((sum, part) => sum + (part.type === 'text' ? part.text.length : 0), 0);

// Resolves once the last message is an assistant's with at least `length` characters of text.
async function reach({ chat, length, role = 'assistant' }) {
  const { state } = chats.get(chat);
  for (;;) {
    const last = state.messages.at(-1);
    if (last?.role === role && textLength(last) >= length) return;
    if (state.status === 'error') throw state.error;
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

const commands = {
  open,
  look,
  reach,
  send: ({ chat, text, files, messageId }) => {
    const record = chats.get(chat);
    start(record, record.chat.sendMessage({ text, files, messageId }));
  },
  // What an application does that edits by cutting its list.
  cut: ({ chat, length }) => {
    const { state } = chats.get(chat);
    state.messages = state.messages.slice(0, length);
  },
  regenerate: ({ chat }) => {
    const record = chats.get(chat);
    start(record, record.chat.regenerate());
  },
  resume: ({ chat }) => {
    const record = chats.get(chat);
    start(record, record.chat.resumeStream());
  },
  // The newest name of `addToolResult` is `addToolOutput`; every version has the old one.
  answer: ({ chat: name, tool, toolCallId, output }) => {
    const record = chats.get(name);
    const { chat } = record;
    start(record, chat.addToolResult({ tool, toolCallId, output }).then(() => chat.sendMessage()));
  },
  stop: ({ chat }) => chats.get(chat).chat.stop(),
  settle: async ({ chat }) => {
    await chats.get(chat).under_way;
    return look({ chat });
  },
};

// Reports of the packages go to stderr: stdout is ours.
console.log = console.info = console.warn = console.error;

for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](rest))
    .then(
      result => ({ id, result: result ?? null }),
      error => ({ id, error: String(error?.stack ?? error) }),
    )
    .then(answer => process.stdout.write(`${JSON.stringify(answer)}\n`));
}

// The test is over, or gone: so are we, whatever still streams.
process.exit(0);
