#!/usr/bin/env bash
# @assistant-ui/ai-sdk 0.0.7 with @assistant-ui/react 0.15.22 and ai 7.0.173.
#
# Expected: `useChatRuntime({ id })` talks to the server about the chat of that id, as `useChat({ id })`
#   of the AI SDK does; its options are those of `useChat`, `id` among them.
# Seen: the id is taken without a word and not used. The server gets `__LOCALID_` and random letters,
#   other ones at each mount, so that a reloaded page never asks for the chat it showed before.
set -euo pipefail
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22 ? 1 : 0)' || {
  echo "needs Node 22 or newer" >&2
  exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts \
  ai@7.0.173 @ai-sdk/react@4.0.177 @assistant-ui/ai-sdk@0.0.7 @assistant-ui/react@0.15.22 \
  react@19.3.1 react-dom@19.3.1 jsdom@26.1.0
cat > look.mjs <<'JAVASCRIPT'
import assert from 'node:assert';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<div id="page"></div>', { url: 'http://localhost/' });
Object.assign(globalThis, { window, document: window.document });
const { createElement, useEffect } = await import('react');
const { createRoot } = await import('react-dom/client');
const { useChat } = await import('@ai-sdk/react');
const { DefaultChatTransport } = await import('ai');
const { AssistantRuntimeProvider } = await import('@assistant-ui/react');
const { AssistantChatTransport, useChatRuntime } = await import('@assistant-ui/ai-sdk');

// Mounts a page that sends one message, and returns the chat id that the server is told.
async function idSentBy(page, Transport) {
  const { promise, resolve } = Promise.withResolvers();
  const transport = new Transport({
    api: 'http://localhost/chat',
    fetch: async (_, request) => {
      resolve(JSON.parse(request.body).id);
      const events = [{ type: 'start' }, { type: 'finish' }].map(chunk => `data: ${JSON.stringify(chunk)}\n\n`);
      return new Response(events.join(''), { headers: { 'content-type': 'text/event-stream' } });
    },
  });
  const root = createRoot(window.document.getElementById('page'));
  root.render(createElement(page, { transport }));
  const patience = setTimeout(() => resolve('nothing was sent'), 20_000);
  const id = await promise;
  clearTimeout(patience);
  root.unmount();
  return id;
}

function Chat({ transport }) {
  const { sendMessage } = useChat({ id: 'chat-1', transport });
  useEffect(() => void sendMessage({ text: 'Hi' }), []);
}

function Assistant({ transport }) {
  const runtime = useChatRuntime({ id: 'chat-1', transport });
  useEffect(() => void runtime.thread.append('Hi'), []);
  return createElement(AssistantRuntimeProvider, { runtime });
}

const plain = await idSentBy(Chat, DefaultChatTransport);
const first = await idSentBy(Assistant, AssistantChatTransport);
const second = await idSentBy(Assistant, AssistantChatTransport);
console.log('useChat', '|', plain);
console.log('useChatRuntime', '|', first);
console.log('useChatRuntime, mounted again', '|', second);
assert.equal(plain, 'chat-1');
assert.match(first, /^__LOCALID_/);
assert.match(second, /^__LOCALID_/);
assert.notEqual(first, second);
console.log('as described');
process.exit(0);
JAVASCRIPT
node look.mjs
