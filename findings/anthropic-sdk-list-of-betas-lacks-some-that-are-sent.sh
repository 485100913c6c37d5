#!/usr/bin/env bash
# anthropic 2.12.0 (Python), beside @ai-sdk/anthropic 4.0.105.
#
# Expected: the betas that the SDK's AnthropicBetaParam lists hold those that the AI SDK sends for
#   Anthropic's own tools.
# Seen: they lack `code-execution-2025-08-25` and `web-fetch-2025-09-10`, which the AI SDK sends with
#   the tools of those dates, though the list still has code execution's older date. The type takes
#   any other word too: the list is a help to an editor, not a list to check `anthropic-beta` by.
set -euo pipefail
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22 ? 1 : 0)' || {
  echo "needs Node 22 or newer" >&2
  exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install 'anthropic==2.12.0'
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts \
  ai@7.0.173 @ai-sdk/anthropic@4.0.105
cat > sent.mjs <<'JAVASCRIPT'
import { createAnthropic } from '@ai-sdk/anthropic';
import { generateText } from 'ai';

// Prints the betas that one request with these tools says, a line each.
const anthropic = createAnthropic({
  apiKey: 'any',
  fetch: async (_, request) => {
    const betas = new Headers(request.headers).get('anthropic-beta');
    console.log(betas.split(',').map(beta => beta.trim()).join('\n'));
    return Response.json({
      type: 'message', id: 'm', model: 'claude', role: 'assistant', stop_reason: 'end_turn',
      content: [{ type: 'text', text: 'Hi' }], usage: { input_tokens: 1, output_tokens: 1 },
    });
  },
});
await generateText({
  model: anthropic('claude-sonnet-4-5'),
  prompt: 'Hi',
  tools: {
    code_execution: anthropic.tools.codeExecution_20250825(),
    web_fetch: anthropic.tools.webFetch_20250910(),
    computer: anthropic.tools.computer_20250124({ displayWidthPx: 800, displayHeightPx: 600 }),
  },
});
JAVASCRIPT
node sent.mjs > sent.txt
"$folder/venv/bin/python" - <<'PYTHON'
from pathlib import Path
from typing import Literal, get_args, get_origin

from anthropic.types import AnthropicBetaParam

literal = next(kind for kind in get_args(AnthropicBetaParam) if get_origin(kind) is Literal)
listed = set(get_args(literal))
sent = Path("sent.txt").read_text().split()
for beta in sent:
    print(beta, "listed" if beta in listed else "not listed", sep=" | ")
lacking = {beta for beta in sent if beta not in listed}
assert {"code-execution-2025-08-25", "web-fetch-2025-09-10"} <= lacking, sent
assert "computer-use-2025-01-24" in set(sent) - lacking, sent
assert "code-execution-2025-05-22" in listed
print("as described")
PYTHON
