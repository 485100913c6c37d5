import type { UIMessage } from 'ai';

import type { MidstreamChatTransport } from './transport.js';

/**
 * What may be done to a session's queue. Each resolves once the gateway has it; the feed shows it in
 * every tab. A message that is being answered already is `entry_taken`.
 */
export interface QueueActions<MESSAGE extends UIMessage> {
  /**
   * Send a message that waits for its turn. When nothing runs, it is answered at once. It overtakes
   * nothing that this page has sent before.
   */
  add: (
    message: { text: string } | Omit<MESSAGE, 'id'> | MESSAGE,
    options?: {
      body?: object;
      /** `steer`: give it to the answer that is being written. What that cannot have waits. */
      onActive?: 'queue' | 'steer';
    },
  ) => Promise<void>;
  remove: (id: string) => Promise<void>;
  /**
   * Change it. With `ifVersion`, the `version` of the entry that is meant, it throws `conflict` if
   * somebody has changed the message since.
   */
  edit: (
    id: string,
    message: { text: string } | Omit<MESSAGE, 'id'>,
    options?: { ifVersion?: number },
  ) => Promise<void>;
  /** Move it before another one; without one, to the end. */
  move: (id: string, before?: string) => Promise<void>;
  /** Answer it next, and stop the answer that is being written; `steer`: give it to that answer. */
  sendNow: (id: string, options?: { how?: 'interrupt' | 'steer' }) => Promise<void>;
  /** End a pause. */
  resume: () => Promise<void>;
  clear: () => Promise<void>;
}

/** Return the actions of a chat's queue. */
export function queueActions<MESSAGE extends UIMessage>(
  transport: MidstreamChatTransport<MESSAGE>,
  chatId: string,
): QueueActions<MESSAGE> {
  const call = (method: string, path: string, change?: object) =>
    transport.change(chatId, method, `/queue${path}`, change);
  const at = (id: string) => `/${encodeURIComponent(id)}`;
  return {
    add: (message, { body, onActive } = {}) => transport.enqueue(chatId, messageOf(message), body, onActive),
    remove: id => call('DELETE', at(id)),
    edit: (id, message, { ifVersion } = {}) =>
      call('PATCH', at(id), { message: { role: 'user', ...messageOf(message), id }, ifVersion }),
    move: (id, before) => call('PATCH', at(id), { before: before ?? null }),
    sendNow: (id, { how } = {}) => call('POST', `${at(id)}/send-now`, { how }),
    resume: () => call('POST', '/resume'),
    clear: () => call('DELETE', ''),
  };
}

function messageOf(given: object): object {
  return 'text' in given ? { parts: [{ type: 'text', text: given.text }] } : given;
}
