// @vitest-environment jsdom
import type { UIMessage } from 'ai';
import { act, Activity, createElement, type FunctionComponent, StrictMode, Suspense, use } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { useChat as useChat5 } from 'react5';
import { useChat as useChat6 } from 'react6';
import { useChat as useChat7 } from 'react7';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { MidstreamChatTransport } from '../src/index.js';
import { type Session, useSession } from '../src/react.js';
import { textOf } from './support/chats.js';
import { ScriptedGateway } from './support/scripted-gateway.js';

type UseChat = typeof useChat7;
type Helpers = ReturnType<UseChat>;

const VERSIONS: [string, UseChat][] = [
  ['ai 5', useChat5 as unknown as UseChat],
  ['ai 6', useChat6 as unknown as UseChat],
  ['ai 7', useChat7],
];

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

let gateway: ScriptedGateway;
let root: Root;
let seen: { chat: Helpers; session: Session<UIMessage> };
let texts: string[];

beforeEach(async () => {
  gateway = await new ScriptedGateway().listen();
  root = createRoot(document.createElement('div'));
});
afterEach(async () => {
  await act(async () => root.unmount());
  await new Promise(resolve => setTimeout(resolve, 5));
  await gateway.close();
});

const pause = (ms: number) => act(() => new Promise(resolve => setTimeout(resolve, ms)));

/** Wait for a condition while React works: it renders at the end of an `act`. */
async function settled(holds: () => unknown, what = 'condition') {
  const deadline = Date.now() + 30_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what} (${holds})`);
    await pause(3);
  }
}

describe.each(VERSIONS)('useChat of %s with useSession', (_, useChat) => {
  let transport: MidstreamChatTransport;
  let Conversation: FunctionComponent<{ id: string }>;

  beforeEach(() => {
    transport = new MidstreamChatTransport({ api: gateway.api });
    Conversation = ({ id }) => {
      const chat = useChat({ id, transport });
      const session = useSession(chat, { transport });
      seen = { chat, session };
      texts = chat.messages.map(textOf);
      return null;
    };
  });

  const render = (node: React.ReactNode) =>
    act(async () => root.render(createElement(StrictMode, null, node)));
  const show = (id = 'c') => render(createElement(Conversation, { id }));

  async function send() {
    await settled(() => seen.session.loaded, 'the session');
    await act(async () => void seen.chat.sendMessage({ text: 'hello' }));
    await settled(() => gateway.active('c'), 'a run');
    gateway.say('c', ['half ']);
    await settled(() => texts.join() === 'hello,half ', 'the first words');
  }

  it('streams an answer under StrictMode, and stops no run by mounting twice', async () => {
    await show();
    await send();
    expect(seen.session).toMatchObject({ connection: 'live', phase: 'writing' });
    gateway.answer('c', ['done']);
    await settled(() => seen.chat.status === 'ready' && texts.join() === 'hello,half done');
    await settled(() => seen.session.phase === 'idle');
    expect(gateway.stops()).toEqual([]);
  });

  it('ends the run when stop is pressed', async () => {
    await show();
    await send();
    await act(async () => void seen.chat.stop());
    await settled(() => gateway.active('c') === undefined, 'no run');
    expect(gateway.stops()).toEqual([{ runId: 'run_1' }]);
    await settled(() => seen.chat.status === 'ready' && seen.session.run?.outcome === 'stopped');
    expect(texts.join()).toBe('hello,half ');
  });

  it('does not end the run by unmounting, and resumes it when mounted again', async () => {
    await show();
    await send();
    await render(null);
    await pause(30);
    expect(gateway.active('c')).toBeDefined();
    await show();
    await settled(() => texts.join() === 'hello,half ', 'the answer so far');
    gateway.answer('c', ['done']);
    await settled(() => texts.join() === 'hello,half done' && seen.chat.status === 'ready');
    expect(gateway.stops()).toEqual([]);
  });

  it('does not end the run by showing another chat, and stops it after a return', async () => {
    await show();
    await send();
    await show('other');
    await pause(30);
    expect(gateway.stops()).toEqual([]);
    await show();
    await settled(() => texts.join() === 'hello,half ' && seen.chat.status === 'streaming');
    await act(async () => void seen.chat.stop());
    await settled(() => gateway.active('c') === undefined, 'no run');
  });

  it('does not end the run by hiding it in an Activity', async () => {
    const inside = (mode: 'visible' | 'hidden') =>
      render(createElement(Activity, { mode, children: createElement(Conversation, { id: 'c' }) }));
    await inside('visible');
    await send();
    await inside('hidden');
    await pause(30);
    expect(gateway.stops()).toEqual([]);
    await inside('visible');
    gateway.answer('c', ['done']);
    await settled(() => texts.join() === 'hello,half done', 'the whole answer');
    expect(gateway.stops()).toEqual([]);
  });

  it('ends the run when stop is pressed after it was suspended, each time', async () => {
    let wait: Promise<void> | undefined;
    const Child = () => {
      if (wait !== undefined) use(wait);
      return null;
    };
    const page = () => {
      const children = [
        createElement(Conversation, { id: 'c', key: 'c' }),
        createElement(Child, { key: 'child' }),
      ];
      // As in production: StrictMode cleans up more.
      return act(async () => root.render(createElement(Suspense, { children })));
    };
    await page();
    await send();
    for (let time = 0; time < 2; time++) {
      let resume = () => {};
      wait = new Promise(resumed => (resume = resumed));
      await page();
      wait = undefined;
      await act(async () => resume());
      await page();
    }
    expect(seen.chat.status).toBe('streaming');
    await act(async () => void seen.chat.stop());
    await settled(() => gateway.active('c') === undefined, 'no run');
  });

  it('stops with its own stop, parts complete', async () => {
    await show();
    await send();
    await act(() => seen.session.stop());
    await settled(() => seen.chat.status === 'ready');
    expect(seen.chat.messages[1]?.parts.at(-1)).toMatchObject({ text: 'half ', state: 'done' });
  });
});
