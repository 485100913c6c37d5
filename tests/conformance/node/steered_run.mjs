// What `streamText` makes of a message that is given to it while it answers: the chunks of a route, and
// the message's outcome.

import { experimental_createSteering, isStepCount, streamText, toUIMessageStream } from 'ai7';

import { providers } from './providers.mjs';
import { toolsOf } from './whole_run.mjs';

/**
 * Gives `text` in the first step, which the provider holds until `release` is requested.
 * `stop`: then aborts the run instead of releasing it. Returns `{chunks, outcome, late}`, `late` being the
 * outcome of a message that comes after the end.
 */
export async function steeredRun({ provider, url, prompt, release, text, stop: stops, maxSteps = 20 }) {
  const { connect, path } = providers[provider];
  const stop = new AbortController();
  const steering = experimental_createSteering();
  const tools = toolsOf(stop);
  const result = streamText({
    model: connect({ apiKey: 'any', baseURL: url + path })('sim-instant'),
    messages: [{ role: 'user', content: prompt }],
    tools,
    stopWhen: isStepCount(maxSteps),
    maxRetries: 0,
    abortSignal: stop.signal,
    experimental_steering: steering,
    onError: () => {},
  });
  const chunks = [];
  let outcome;
  for await (const chunk of toUIMessageStream({ stream: result.stream, tools })) {
    chunks.push(chunk);
    if (chunk.type !== 'start-step' || outcome) continue;
    outcome = steering.steer(text, { id: 'given' });
    if (stops) stop.abort();
    else await fetch(`${url}/sim/release/${release}`, { method: 'POST' });
  }
  const told = ({ type, reason, stepNumber }) => ({ type, reason, stepNumber });
  return { chunks, outcome: told(await outcome), late: told(await steering.steer(text, { id: 'late' })) };
}
