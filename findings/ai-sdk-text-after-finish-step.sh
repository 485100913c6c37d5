#!/usr/bin/env bash
# ai 5.0.277, 6.0.324 and 7.0.173: text that goes on after a `finish-step`.
#
# Two streams that are merged into one (createUIMessageStream's writer.merge) may interleave: one
# ends its step while the other's text is open.
#
# Expected: the same in all versions.
# Seen: 5 and 6 end in an error at the next `text-delta`; 7 shows the text whole.
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
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: 'one ' },
  { type: 'finish-step' },
  { type: 'text-delta', id: 't', delta: 'two' },
  { type: 'text-end', id: 't' },
  { type: 'finish' },
]);
const text = ({ parts }) => parts.filter(part => part.type === 'text').map(part => part.text).join('|');
for (const [version, each] of Object.entries(seen)) console.log(version, '|', text(each), '|', each.failure);
assert.ok(seen.ai5.failure && seen.ai6.failure);
assert.equal(seen.ai7.failure, null);
assert.equal(text(seen.ai7), 'one two');
console.log('as described');
JAVASCRIPT
node look.mjs
