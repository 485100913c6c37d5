#!/usr/bin/env bash
# pydantic-ai 2.68.0, its adapter for the AI SDK (VercelAIAdapter), and messages of ai 7.0.173 with
# @ai-sdk/anthropic 4.0.105. Needs Node 22 or newer.
#
# Expected: the adapter, which has an `sdk_version=7`, reads messages that ai 7 has made, and leaves
#   out the parts that its models have no use for.
# Seen: ai 7 puts a part of type `custom` (kind `anthropic.message_start`) into every answer of
#   Anthropic's, and the adapter refuses a request with such a message whole: ValidationError. Who
#   changes from a route with ai 7 to one with pydantic-ai within a chat cannot continue it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund 'ai@7.0.173' '@ai-sdk/anthropic@4.0.105' >/dev/null
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install 'pydantic-ai-slim[ui]==2.68.0'
cat > answer.mjs <<'NODE'
import { createAnthropic } from '@ai-sdk/anthropic';
import { readUIMessageStream, streamText } from 'ai';

const usage = { input_tokens: 1, output_tokens: 1 };
const message = { id: 'msg', type: 'message', role: 'assistant', model: 'm', content: [], usage };
const text = { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } };
const events = [
  { type: 'message_start', message: { ...message, stop_reason: null, stop_sequence: null } },
  text,
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello.' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
  { type: 'message_stop' },
];
const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
const headers = { 'content-type': 'text/event-stream' };
const anthropic = createAnthropic({ apiKey: 'any', fetch: async () => new Response(body, { headers }) });
const result = streamText({ model: anthropic('m'), prompt: 'Hi' });
let last;
for await (const each of readUIMessageStream({ stream: result.toUIMessageStream() })) last = each;
console.log(JSON.stringify({ ...last, id: 'answer' }));
NODE
node answer.mjs > answer.json
venv/bin/python - <<'PYTHON'
import json

from pydantic import ValidationError
from pydantic_ai.ui.vercel_ai import VercelAIAdapter

with open("answer.json") as file:
    answer = json.load(file)


def asked(answer):
    ask = {"role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    messages = [{**ask, "id": "u1"}, answer, {**ask, "id": "u2"}]
    return json.dumps({"id": "chat", "trigger": "submit-message", "messages": messages}).encode()


print("parts of ai 7's answer:", [part["type"] for part in answer["parts"]])
refused = set()
try:
    VercelAIAdapter.build_run_input(asked(answer))
except ValidationError as error:
    refused = {each["input"] for each in error.errors() if each["loc"][-1] == "type"}
print("pydantic-ai refuses the request for a part of the type", refused)
known = [part for part in answer["parts"] if part["type"] != "custom"]
assert len(known) == len(answer["parts"]) - 1
VercelAIAdapter.build_run_input(asked({**answer, "parts": known}))
print("without the custom part: read")
assert refused == {"custom"}
print("as described")
PYTHON
