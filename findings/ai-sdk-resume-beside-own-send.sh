#!/usr/bin/env bash
# ai 5.0.277, 6.0.324 and 7.0.173: a chat that resumes while its own send streams a tool's input.
#
# A page that comes back to the foreground may call `resumeStream()` before it knows whether its own
# request still runs. The server answers with the stream from its beginning.
#
# Expected: the same message in all versions, with each part once.
# Seen: 5 goes on from the message as it is and appends the whole stream to it: the text and the tool
#   are there twice, the first tool waiting for its input. 6 and 7 begin the message anew, since their
#   transport says that what it resumes is a replay (`resumeStreamIsReplay`). Without any tool input
#   under way, 5 begins the message anew too.
set -euo pipefail
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22 ? 1 : 0)' || {
  echo "needs Node 22 or newer" >&2
  exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts \
  ai5@npm:ai@5.0.277 ai6@npm:ai@6.0.324 ai7@npm:ai@7.0.173
cat > look.mjs <<'JAVASCRIPT'
import assert from 'node:assert';

const TEXT = [
  { type: 'start', messageId: 'm' },
  { type: 'start-step' },
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: 'I look.' },
];
const INPUT = [
  { type: 'text-end', id: 't' },
  { type: 'tool-input-start', toolCallId: 'c', toolName: 'weather' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"city":"Ro' },
];
const REST = [
  { type: 'tool-input-available', toolCallId: 'c', toolName: 'weather', input: { city: 'Rome' } },
  { type: 'tool-output-available', toolCallId: 'c', output: { celsius: 21 } },
  { type: 'finish-step' },
  { type: 'finish' },
];

function answer(begin) {
  const encoder = new TextEncoder();
  let stream;
  const body = new ReadableStream({ start(controller) { stream = controller; } });
  const say = chunks => {
    for (const chunk of chunks) stream.enqueue(encoder.encode(`data: ${JSON.stringify(chunk)}\n\n`));
  };
  say(begin);
  const response = new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  return { response, say, end: () => stream.close() };
}

async function until(condition) {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the chat did not get there');
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

// What the chat shows when the resumed stream has ended, while its own request is still open.
async function partsOf(version, begin) {
  const { AbstractChat, DefaultChatTransport } = await import(version);
  const state = {
    status: 'ready',
    messages: [],
    pushMessage(message) { this.messages = [...this.messages, message]; },
    popMessage() { this.messages = this.messages.slice(0, -1); },
    replaceMessage(index, message) { this.messages = this.messages.with(index, structuredClone(message)); },
    snapshot: value => structuredClone(value),
  };
  class Chat extends AbstractChat {}
  const own = answer(begin);
  const replay = answer([...TEXT, ...INPUT, ...REST]);
  replay.end();
  const transport = new DefaultChatTransport({
    api: 'http://localhost/chat',
    fetch: async (_, request) => (request.method === 'POST' ? own : replay).response,
  });
  const chat = new Chat({ id: 'chat', state, transport });
  const shown = () => (state.messages.at(-1)?.parts ?? []).filter(part => part.type !== 'step-start').map(part => `${part.type} ${part.state}`);
  const last = begin === TEXT ? 'text streaming' : 'tool-weather input-streaming';
  const sent = chat.sendMessage({ text: 'What is the weather?' });
  await until(() => shown().includes(last));
  await chat.resumeStream();
  const parts = shown();
  own.say(begin === TEXT ? [...INPUT, ...REST] : REST);
  own.end();
  await sent;
  return parts.join(', ');
}

const once = 'text done, tool-weather output-available';
for (const version of ['ai5', 'ai6', 'ai7']) {
  const whileText = await partsOf(version, TEXT);
  const whileInput = await partsOf(version, [...TEXT, ...INPUT]);
  console.log(version, '| resumed while text came:', whileText, '| while a tool input came:', whileInput);
  assert.equal(whileText, once);
  assert.equal(whileInput, version === 'ai5' ? `text done, tool-weather input-streaming, ${once}` : once);
}
console.log('as described');
JAVASCRIPT
node look.mjs
