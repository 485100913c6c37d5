import { afterEach, vi } from 'vitest';

import type { ChatInit, UIMessage } from 'ai';

import type { MidstreamChatTransport } from '../../src/index.js';
import { CHATS, textOf, until } from './chats.js';
import type { ScriptedGateway } from './scripted-gateway.js';

type Package = typeof import('../../src/index.js');

const pages = new WeakMap<MidstreamChatTransport, Package>();

/** Open a page of its own: the package's modules are loaded again. */
export async function openTab(): Promise<Package> {
  vi.resetModules();
  return import('../../src/index.js');
}

export interface Finish {
  isAbort: boolean;
  isDisconnect: boolean;
  isError: boolean;
}

/** A tab with a chat of the newest version that follows a session. */
export async function openSession(
  gateway: ScriptedGateway,
  init: Pick<ChatInit<UIMessage>, 'messages' | 'sendAutomaticallyWhen'> & {
    id?: string;
    fetch?: typeof fetch;
    headers?: () => Record<string, string>;
    /** The gateway's address. Another address means another feed. */
    api?: string;
    Chat?: (typeof CHATS)[number][1];
    /** The transport of another chat on the same page. */
    transport?: MidstreamChatTransport;
  } = {},
) {
  const page = init.transport === undefined ? await openTab() : pages.get(init.transport);
  const { MidstreamChatTransport, ChatSession } = page as Package;
  const { id = 'c', fetch, headers, api = gateway.api, Chat = (CHATS[2] as (typeof CHATS)[number])[1], transport: _, ...rest } = init;
  const finishes: Finish[] = [];
  const transport = init.transport ?? new MidstreamChatTransport({ api, fetch, headers });
  pages.set(transport, page as Package);
  const chat = new Chat({
    id,
    transport,
    onFinish: ({ isAbort, isDisconnect, isError }) => {
      finishes.push({ isAbort, isDisconnect, isError });
    },
    ...rest,
  });
  const session = new ChatSession(() => chat, transport);
  const leave = session.start();
  return { chat, session, transport, finishes, leave };
}

export type Tab = Awaited<ReturnType<typeof openSession>>;

/** Return functions that open tabs. The tabs are closed after each test, before its gateway. */
export function tabsOf(gateway: () => ScriptedGateway) {
  const tabs: Tab[] = [];
  afterEach(() => {
    for (const { leave, chat } of tabs.splice(0)) {
      leave();
      void chat.stop();
    }
  });
  const tab = async (init?: Parameters<typeof openSession>[1]) => {
    const opened = await openSession(gateway(), init);
    tabs.push(opened);
    return opened;
  };
  /** Open two tabs with one session, and wait until both have loaded it. */
  const twoTabs = async (Chat: (typeof CHATS)[number][1]) => {
    const both = [await tab({ Chat }), await tab({ Chat })] as const;
    await until(() => both.every(({ session }) => session.getState().loaded));
    return both;
  };
  return { tab, twoTabs };
}

/** Return the text of each message that a chat shows. */
export function textsOf({ chat }: Pick<Tab, 'chat'>): string[] {
  return chat.messages.map(textOf);
}
