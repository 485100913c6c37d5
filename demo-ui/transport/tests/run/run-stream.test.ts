import type { UIMessageChunk } from 'ai';
import { describe, expect, it } from 'vitest';

import { ConnectionLost } from '../../src/errors.js';
import { type Cursor, type RunConnection, type RunEvent, runStream } from '../../src/run/run-stream.js';

const start: UIMessageChunk = { type: 'start', messageId: 'm' };
const finish: UIMessageChunk = { type: 'finish' };
const word = (delta: string): UIMessageChunk => ({ type: 'text-delta', id: 't', delta });

/** A connection that delivers these chunks and breaks. A number is the next chunk's sequence. */
function bringing(...items: (number | UIMessageChunk)[]): RunConnection {
  async function* events(): AsyncGenerator<RunEvent> {
    let sequence: number | undefined;
    for (const item of items) {
      if (typeof item === 'number') sequence = item;
      else {
        yield { sequence, chunk: item };
        sequence = undefined;
      }
    }
    throw new ConnectionLost('cut');
  }
  return { runId: 'run', events: events(), close: () => {} };
}

async function read(first: RunConnection, ...more: (RunConnection | null)[]) {
  const cursors: Cursor[] = [];
  const stream = runStream({
    first,
    connect: async cursor => {
      cursors.push({ ...cursor });
      return more.shift() ?? null;
    },
    signal: new AbortController().signal,
    random: () => 0,
  });
  const chunks: UIMessageChunk[] = [];
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { chunks, cursors, error: undefined };
      chunks.push(value);
    }
  } catch (error) {
    return { chunks, cursors, error };
  }
}

describe('runStream', () => {
  it('delivers each sequence once, whatever the next connection repeats', async () => {
    const seen = await read(
      bringing(0, start, 1, word('a')),
      bringing(0, start, 1, word('a'), 2, word('b')),
      bringing(2, word('b'), 3, finish),
    );
    expect(seen.chunks).toEqual([start, word('a'), word('b'), finish]);
    expect(seen.cursors.map(({ last }) => last)).toEqual([1, 2]);
  });

  it('drops a state that broke off, and asks for it again', async () => {
    const seen = await read(bringing(start, word('half')), bringing(start, 7, word('whole'), 8, finish));
    expect(seen.chunks).toEqual([start, word('whole'), finish]);
    expect(seen.cursors).toEqual([{ runId: 'run', last: undefined }]);
  });

  it('delivers what the gateway says of its own failure, which has no sequence', async () => {
    const error: UIMessageChunk = { type: 'error', errorText: 'x' };
    expect((await read(bringing(0, start, error, finish))).chunks).toEqual([start, error, finish]);
  });

  it('fails with not_recovered when there is nothing left to connect to', async () => {
    const { error } = await read(bringing(0, start), null);
    expect(error).toMatchObject({ code: 'not_recovered' });
  });

  it('fails with an AbortError after the last chunk of a stopped run', async () => {
    const { chunks, error } = await read(bringing(0, start, 1, { type: 'abort' }, 2, finish));
    expect(chunks).toHaveLength(3);
    expect(error).toMatchObject({ name: 'AbortError' });
  });
});
