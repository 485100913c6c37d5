// A chat of ai 4, which has no class for one: all of it is in the hook `useChat`.
//
// The requests, the stream and the messages are those of the package that the hook is made
// of; what a hook adds (state, and when to send) is here, in the words of ai 5's `AbstractChat`.

import { createRequire } from 'node:module';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ai4 = realpathSync(fileURLToPath(import.meta.resolve('ai4')));
const {
  callChatApi,
  extractMaxToolInvocationStep,
  fillMessageParts,
  generateId,
  shouldResubmitMessages,
  updateToolCallResult,
} = createRequire(ai4)('@ai-sdk/ui-utils');

// What the hook sends of a message unless `sendExtraMessageFields`: no id, above all.
const SENT = [
  'role',
  'content',
  'experimental_attachments',
  'data',
  'annotations',
  'toolInvocations',
  'parts',
];

const sent = message =>
  Object.fromEntries(SENT.filter(name => name in message).map(name => [name, message[name]]));

export class ChatOfAi4 {
  constructor({ id, state, api, fetch, onFinish, resubmit, body }) {
    Object.assign(this, { id, state, api, fetch, onFinish, body });
    this.maxSteps = resubmit ? 5 : 1;
    state.messages = fillMessageParts(state.messages);
  }

  sendMessage(given) {
    if (given) this.append(given);
    return this.request();
  }

  append({ text, attachments }) {
    const message = { id: generateId(), role: 'user', content: text };
    if (attachments) message.experimental_attachments = attachments;
    this.state.messages = fillMessageParts([...this.state.messages, message]);
  }

  regenerate() {
    const { state } = this;
    if (state.messages.at(-1)?.role === 'assistant') state.popMessage();
    return this.request();
  }

  async addToolResult({ toolCallId, output }) {
    updateToolCallResult({ messages: this.state.messages, toolCallId, toolResult: output });
  }

  stop() {
    this.abortController?.abort();
  }

  async request() {
    const { state } = this;
    const before = state.messages;
    const last = before.at(-1);
    const step = extractMaxToolInvocationStep(last.toolInvocations);
    state.status = 'submitted';
    state.error = undefined;
    this.abortController = new AbortController();
    try {
      await callChatApi({
        api: this.api,
        body: { id: this.id, messages: before.map(sent), data: undefined, ...this.body },
        streamProtocol: 'data',
        abortController: () => this.abortController,
        restoreMessagesOnFailure: () => {},
        onUpdate: ({ message, replaceLastMessage }) => {
          state.status = 'streaming';
          state.messages = [...(replaceLastMessage ? before.slice(0, -1) : before), message];
        },
        onFinish: (_, { finishReason, usage }) => this.onFinish({ finishReason, usage }),
        generateId,
        fetch: this.fetch,
        lastMessage: last,
      });
      state.status = 'ready';
    } catch (error) {
      if (error.name !== 'AbortError') state.error = error;
      state.status = error.name === 'AbortError' ? 'ready' : 'error';
    }
    const again = shouldResubmitMessages({
      originalMaxToolInvocationStep: step,
      originalMessageCount: before.length,
      maxSteps: this.maxSteps,
      messages: state.messages,
    });
    if (again) await this.request();
  }
}
