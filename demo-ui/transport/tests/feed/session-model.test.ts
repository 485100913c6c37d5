import type { UIMessage } from 'ai';
import { describe, expect, it } from 'vitest';

import { isCoveredBy, type RunInfo, SessionModel } from '../../src/feed/session-model.js';
import { isSame, mergeMessages } from '../../src/merge.js';

const user = (id: string, text = id): UIMessage => ({ id, role: 'user', parts: [{ type: 'text', text }] });
const answer = (id: string, text = id): UIMessage => ({ ...user(id, text), role: 'assistant' });
const run = (fields: Partial<RunInfo>): RunInfo => ({
  id: 'r',
  state: 'open',
  messageId: 'a',
  userMessageId: 'u',
  trigger: 'submit-message',
  ...fields,
});
const none = new Set<string>();

function modelOf(...messages: UIMessage[]): SessionModel<UIMessage> {
  const model = new SessionModel<UIMessage>();
  model.load({ epoch: 'e', offset: '1-0', messages, runs: [] });
  return model;
}
const ids = (messages: readonly UIMessage[]) => messages.map(({ id }) => id).join();

describe('SessionModel', () => {
  it('goes on from the parent of a message: what followed it before is gone', () => {
    const model = modelOf(user('u'), answer('a'), user('u2'), answer('a2'));
    expect(model.apply('message', { message: user('u3'), parentId: 'a' })).toBe(true);
    expect(ids(model.messages)).toBe('u,a,u3');
    expect(model.apply('message', { message: user('v'), parentId: null })).toBe(true);
    expect(ids(model.messages)).toBe('v');
  });

  it('asks for the snapshot when it does not know the parent', () => {
    expect(modelOf(user('u')).apply('message', { message: user('x'), parentId: '?' })).toBe(false);
  });

  it('drops the old answer when another is begun, and leaves the new one to the stream', () => {
    const model = modelOf(user('u'), answer('a'));
    model.apply('run', run({ messageId: 'b', trigger: 'regenerate-message' }));
    expect(ids(model.settled)).toBe('u');
    model.apply('message', { message: answer('b'), parentId: 'u' });
    expect(ids(model.settled)).toBe('u');
    model.apply('run', run({ messageId: 'b', state: 'ended' }));
    expect(ids(model.settled)).toBe('u,b');
  });

  it('leaves out the message that a run goes on with, while it does', () => {
    const model = modelOf(user('u'), answer('a'));
    model.apply('run', run({ continues: true }));
    expect(ids(model.settled)).toBe('u');
  });

  it('keeps the queue: its order from each event, and the entries that it knows', () => {
    const model = modelOf(user('u'));
    const entry = (id: string, text = id, version = 1) => ({
      id, message: user(id, text), by: { id: '', role: 'user', kind: 'person' }, at: 1, version,
    });
    const state = { paused: null, waitsFor: null, unsent: [] };
    const before = model.revision;
    expect(model.apply('queue', { ...state, order: ['b'], entry: entry('b') })).toBe(true);
    expect(model.apply('queue', { ...state, order: ['c', 'b'], entry: entry('c') })).toBe(true);
    expect(model.apply('queue', { ...state, order: ['c', 'b'], entry: entry('b', 'new', 2) })).toBe(true);
    expect(model.queue.entries).toEqual([entry('c'), entry('b', 'new', 2)]);
    const unsent = [{ id: 'c', reason: 'conversation_changed' }];
    model.apply('queue', { ...state, paused: 'stopped', order: ['b'], unsent });
    expect(model.queue).toMatchObject({ paused: 'stopped', unsent: [{ ...entry('c'), ...unsent[0] }] });
    expect(model.apply('queue', { ...state, order: ['c'], entry: entry('c') })).toBe(true);
    expect(model.queue.entries).toEqual([entry('c')]);
    expect(model.apply('queue', { ...state, order: ['?'] })).toBe(false);
    expect(model.revision).toBe(before);
  });

  it('keeps the messages that wait for the running answer until their outcome is known', () => {
    const model = modelOf();
    const entry = (id: string) => ({ id, message: { id }, by: {}, at: 1 });
    model.apply('steer', { outcome: { id: 'a', type: 'pending' }, entry: entry('a') });
    model.apply('steer', { outcome: { id: 'b', type: 'pending' }, entry: entry('b') });
    model.apply('queue', { order: [], paused: null, waitsFor: null, unsent: [] });
    expect(model.queue.steers).toEqual([entry('a'), entry('b')]);
    model.apply('steer', { outcome: { id: 'a', type: 'delivered', stepNumber: 1 } });
    expect(model.queue.steers).toEqual([entry('b')]);
    const delivered = { id: 'a', type: 'delivered', stepNumber: 1, message: { id: 'a' } };
    expect(model.queue.outcomes).toEqual([delivered]);
    model.apply('steer', { outcome: { id: 'b', type: 'not-delivered', reason: 'aborted' } });
    model.load({ epoch: 'e', offset: '1-0', messages: [], runs: [] });
    expect(model.queue.outcomes.map(({ id, reason }) => [id, reason])).toEqual([['a', undefined], ['b', 'aborted']]);
    // Given to another answer since.
    model.apply('steer', { outcome: { id: 'b', type: 'pending' }, entry: entry('b') });
    expect(model.queue.outcomes).toEqual([delivered]);
  });

  it('keeps the newest outcomes', () => {
    const model = modelOf();
    for (let n = 0; n < 40; n += 1) model.apply('steer', { outcome: { id: `${n}`, type: 'delivered' } });
    expect(model.queue.outcomes.map(({ id }) => Number(id))).toEqual(Array.from({ length: 32 }, (_, n) => n + 8));
  });

  it('knows the versions of what it shows, from a snapshot and from each record since', () => {
    const model = new SessionModel<UIMessage>();
    const branches = { u2: { ids: ['u2', 'u2b'], index: 0 } };
    const messages = [user('u'), answer('a'), user('u2')];
    model.load({ epoch: 'e', offset: '1-0', messages, runs: [], branches, following: ['a2'] });
    const versions = () => model.places.map(ids => ids.join());
    expect(versions()).toEqual(['u', 'a', 'u2,u2b', 'a2']);
    const before = model.places;
    model.apply('run', run({ messageId: 'a3', userMessageId: 'u2' }));
    expect(model.places).toBe(before);
    model.apply('message', { message: answer('a3'), parentId: 'u2' });
    model.apply('run', run({ messageId: 'a3', userMessageId: 'u2', state: 'ended' }));
    expect(versions()).toEqual(['u', 'a', 'u2,u2b', 'a2,a3']);
    model.apply('message', { message: user('v'), parentId: null });
    expect(versions()).toEqual(['u,v']);
  });

  it('counts an answer that a run goes on with once', () => {
    const model = modelOf(user('u'), answer('a'));
    model.apply('run', run({ continues: true }));
    model.apply('message', { message: answer('a', 'more'), parentId: 'u' });
    expect(model.places).toEqual([['u'], ['a']]);
  });

  it('knows positions of its own log only', () => {
    expect(isCoveredBy('e:5-1', 'e:5-1')).toBe(true);
    expect(isCoveredBy('e:5-10', 'e:5-9')).toBe(false);
    expect(isCoveredBy('e:1-0', 'f:5-1')).toBe(false);
    expect(isCoveredBy('e:1-0', null)).toBe(false);
  });
});

describe('mergeMessages', () => {
  it('keeps the objects of messages that say the same', () => {
    const local = [user('u'), { ...answer('a'), metadata: undefined }];
    const known = new Set(['u', 'a']);
    const merged = mergeMessages(local, [user('u'), answer('a')], known, none);
    expect(merged[1]).toBe(local[1]);
    expect(isSame(local, merged)).toBe(true);
  });

  it('keeps messages that were never accepted, but not those of another branch or refused', () => {
    const merged = mergeMessages(
      [user('old'), user('new'), user('refused')],
      [user('u')],
      new Set(['old']),
      new Set(['refused']),
    );
    expect(ids(merged)).toBe('u,new');
  });

  it('keeps what was answered here and is not sent yet', () => {
    const call = (toolCallId: string, state: string, more = {}) => ({
      type: 'tool-x',
      toolCallId,
      state,
      input: {},
      ...more,
    });
    const theirs = {
      ...answer('a'),
      parts: [call('1', 'input-available'), call('2', 'output-available', { output: 'theirs' })],
    } as UIMessage;
    const ours = {
      ...answer('a'),
      parts: ['1', '2'].map(id => call(id, 'output-available', { output: 'ours' })),
    } as UIMessage;
    const [merged] = mergeMessages([ours], [theirs], none, none);
    expect(merged?.parts).toMatchObject([{ output: 'ours' }, { output: 'theirs' }]);
  });
});
