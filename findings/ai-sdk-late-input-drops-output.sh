#!/usr/bin/env bash
# ai 5.0.277, 6.0.324 and 7.0.173: a tool's whole input that comes after its output.
#
# Merged streams may bring a call's `tool-output-available` before its `tool-input-available`.
#
# Expected: the output is kept, or the order is an error.
# Seen: all three throw the output away without a word: the part ends as `input-available`, so the
#   call looks as if it still waited for its result.
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
cat > read.mjs <<'JAVASCRIPT'
// What each major version makes of a stream: the text or tool that a person sees, and the error.
export async function read(chunks) {
  const seen = {};
  for (const version of ['ai5', 'ai6', 'ai7']) {
    const { readUIMessageStream } = await import(version);
    let failure = null;
    let message = null;
    const stream = new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk);
        controller.close();
      },
    });
    try {
      const onError = error => { failure = String(error); };
      for await (const state of readUIMessageStream({ stream, onError })) message = structuredClone(state);
    } catch (error) {
      failure = String(error);
    }
    seen[version] = { failure, parts: message?.parts ?? [] };
  }
  return seen;
}
JAVASCRIPT
cat > look.mjs <<'JAVASCRIPT'
import assert from 'node:assert';
import { read } from './read.mjs';
const seen = await read([
  { type: 'start', messageId: 'm' },
  { type: 'start-step' },
  { type: 'tool-input-start', toolCallId: 'c', toolName: 'weather' },
  { type: 'tool-output-available', toolCallId: 'c', output: { celsius: 21 } },
  { type: 'tool-input-available', toolCallId: 'c', toolName: 'weather', input: { city: 'Rome' } },
  { type: 'finish-step' },
  { type: 'finish' },
]);
for (const [version, { parts, failure }] of Object.entries(seen)) {
  const tool = parts.find(part => part.type === 'tool-weather');
  console.log(version, '|', tool?.state, '|', JSON.stringify(tool?.output), '|', failure);
  assert.equal(failure, null);
  assert.equal(tool.state, 'input-available');
}
console.log('as described');
JAVASCRIPT
node look.mjs
