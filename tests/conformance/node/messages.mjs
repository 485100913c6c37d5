// Shows what a client of the AI SDK makes of a sequence of chunks.
//
// Reads one job a line from stdin, writes one answer a line to stdout:
//   {"ai": "ai7", "chunks": [...], "message"?: UIMessage} -> {"message": UIMessage, "errors": [string]}
// The chunks take the way of a response: as SSE through DefaultChatTransport, which checks
// each against its version's schema, then through readUIMessageStream.

import { createInterface } from 'node:readline';

// readUIMessageStream tells of a message only when a visible part of it changed.
const FLUSH = 'data-flush';

async function read({ ai: name, chunks, message }) {
  const ai = await import(name);
  const frames = [...chunks, { type: FLUSH, data: null }].map(
    chunk => `data: ${JSON.stringify(chunk)}\n\n`,
  );
  const bytes = new Blob([...frames, 'data: [DONE]\n\n']).stream();
  const transport = new ai.DefaultChatTransport({ api: 'https://gateway.invalid' });
  const errors = [];
  const messages = ai.readUIMessageStream({
    message,
    stream: transport.processResponseStream(bytes),
    onError: error => errors.push(String(error?.message ?? error)),
  });
  let last = message;
  for await (const seen of messages) last = seen;
  if (last?.parts.at(-1)?.type === FLUSH) last.parts.pop();
  return { message: last ?? null, errors };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await read(JSON.parse(line)).catch(error => ({ failure: String(error?.stack) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
