import { describe, expect, it } from 'vitest';

import { SseParser } from '../../src/net/sse.js';

const STREAM = ':\n\nid: 1\ndata: {"a":"é"}\n\nevent: run\ndata: x\ndata: y\n\n: note\nid\ndata:z\n\n';
const EVENTS = [
  { event: 'message', id: '1', data: '{"a":"é"}' },
  { event: 'run', id: undefined, data: 'x\ny' },
  { event: 'message', id: '', data: 'z' },
];

describe('SseParser', () => {
  it.each([
    ['LF', STREAM],
    ['CRLF', STREAM.replaceAll('\n', '\r\n')],
    ['CR', STREAM.replaceAll('\n', '\r')],
  ])('gives the same events wherever text with %s is cut', (_, text) => {
    for (let at = 0; at <= text.length; at++) {
      const parser = new SseParser();
      const events = [...parser.push(text.slice(0, at)), ...parser.push(text.slice(at))];
      // A CR at the very end may be half of a CRLF.
      expect([...events, ...parser.push('\n')]).toEqual(EVENTS);
    }
  });

  it('never returns an event that the end cuts off', () => {
    expect(new SseParser().push('data: whole\n\ndata: half\n')).toHaveLength(1);
  });
});
