#!/usr/bin/env bash
# @ai-sdk/react 3.0.327 with ai 6.0.324, beside @ai-sdk/react 4.0.177 with ai 7.0.173.
#
# A transport says by `resumeStreamIsReplay` whether a resumed stream begins at the message's first
# part (true for DefaultChatTransport), so that the chat begins the message anew.
#
# Expected: a transport does the same whether it is given to `useChat` or to a `Chat`.
# Seen: `useChat` of 3.0.327 wraps the transport it is given and leaves that property out. A resume
#   while a tool's input streams then shows the text and the tool twice; with `new Chat({ transport })`,
#   and in 4.0.177 either way, each is there once.
set -euo pipefail
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22 ? 1 : 0)' || {
  echo "needs Node 22 or newer" >&2
  exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > look.mjs <<'JAVASCRIPT'
import assert from 'node:assert';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<div id="page"></div>', { url: 'http://localhost/' });
Object.assign(globalThis, { window, document: window.document });
const { createElement, useEffect } = await import('react');
const { createRoot } = await import('react-dom/client');
const { Chat, useChat } = await import('@ai-sdk/react');
const { DefaultChatTransport } = await import('ai');

const STREAM = [
  { type: 'start', messageId: 'm' },
  { type: 'start-step' },
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: 'I look.' },
  { type: 'text-end', id: 't' },
  { type: 'tool-input-start', toolCallId: 'c', toolName: 'weather' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"city":"Ro' },
  { type: 'tool-input-available', toolCallId: 'c', toolName: 'weather', input: { city: 'Rome' } },
  { type: 'tool-output-available', toolCallId: 'c', output: { celsius: 21 } },
  { type: 'finish-step' },
  { type: 'finish' },
];

function answer(chunks, whole) {
  const events = chunks.map(chunk => `data: ${JSON.stringify(chunk)}\n\n`).join('');
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(events));
      if (whole) controller.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}

async function until(condition) {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the chat did not get there');
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

// What a page shows that resumes in the middle of the tool's input.
async function partsOf(optionsFor) {
  const options = optionsFor(new DefaultChatTransport({
    api: 'http://localhost/chat',
    fetch: async (_, request) =>
      request.method === 'POST' ? answer(STREAM.slice(0, 7), false) : answer(STREAM, true),
  }));
  let page;
  function Page() {
    page = useChat(options);
    useEffect(() => void page.sendMessage({ text: 'What is the weather?' }), []);
  }
  const root = createRoot(window.document.getElementById('page'));
  root.render(createElement(Page));
  const shown = () => (page?.messages.at(-1)?.parts ?? []).filter(part => part.type !== 'step-start').map(part => `${part.type} ${part.state}`);
  await until(() => shown().includes('tool-weather input-streaming'));
  await page.resumeStream();
  await until(() => shown().includes('tool-weather output-available'));
  const parts = shown().join(', ');
  root.unmount();
  return parts;
}

const once = 'text done, tool-weather output-available';
const given = await partsOf(transport => ({ id: 'one', transport }));
const inChat = await partsOf(transport => ({ chat: new Chat({ id: 'two', transport }) }));
console.log(process.argv[2], '| useChat({ transport }):', given, '| useChat({ chat }):', inChat);
assert.equal(inChat, once);
assert.equal(given, process.argv[2] === '3' ? `text done, tool-weather input-streaming, ${once}` : once);
process.exit(0);
JAVASCRIPT
for versions in '3 3.0.327 6.0.324' '4 4.0.177 7.0.173'; do
  read -r major react ai <<< "$versions"
  mkdir "$major"
  npm install --prefix "$major" --silent --no-audit --no-fund --ignore-scripts \
    "@ai-sdk/react@$react" "ai@$ai" react@19.3.1 react-dom@19.3.1 jsdom@26.1.0
  cp look.mjs "$major"
  node "$major/look.mjs" "$major"
done
echo "as described"
