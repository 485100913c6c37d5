// AG-UI's own HttpAgent. Each line asks for one run: of a gateway (`url`), or of a body that is given.
// The answer: the events that it let through, its messages, and its error.
import { createInterface } from 'node:readline'
import { HttpAgent } from '@ag-ui/client'

async function run({ url, body, threadId, runId, messages, resume }) {
  const given = body === undefined ? {} : { fetch: async () => answer(body) }
  const agent = new HttpAgent({ url: url ?? 'http://127.0.0.1', threadId, ...given })
  agent.messages = messages ?? []
  const events = []
  let error = null
  try {
    await agent.runAgent(
      { runId, ...(resume ? { resume } : {}) },
      { onEvent: ({ event }) => void events.push(event) },
    )
  } catch (raised) {
    error = String(raised?.message ?? raised)
  }
  return { events, messages: agent.messages, error }
}

function answer(body) {
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

// What it logs would be taken for answers.
console.log = console.info = console.debug = console.error

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line)))}\n`)
}
