import type { UIMessage } from 'ai';

/**
 * Return the messages that a chat should show: the session's, then the user messages that the
 * gateway has not accepted (yet). A message with the same content stays the chat's own object.
 *
 * Tool results and approvals that were given here and not sent yet are kept.
 *
 * @param known - ids of all messages that the session ever had.
 * @param unsent - ids of refused messages, which are kept elsewhere.
 * @param partial - id of the answer that this chat has read: it stays until the session has it.
 */
export function mergeMessages<MESSAGE extends UIMessage>(
  local: readonly MESSAGE[],
  session: readonly MESSAGE[],
  known: ReadonlySet<string>,
  unsent: ReadonlySet<string>,
  partial?: string,
): MESSAGE[] {
  const mine = new Map(local.map(message => [message.id, message]));
  const merged = session.map((message, index) => {
    const own = mine.get(message.id);
    if (own === undefined) return message;
    const wanted = index === session.length - 1 ? withLocalResults(message, own) : message;
    return isSame(own, wanted) ? own : wanted;
  });
  const fresh = local.filter(
    ({ id, role }) =>
      id === partial || (role === 'user' && !known.has(id) && !unsent.has(id)),
  );
  return [...merged, ...fresh];
}

/**
 * Return the user messages that the session lacks although it has a later message of this chat.
 *
 * @param answered - an answer to the whole list is about to begin.
 */
export function passedOver<MESSAGE extends UIMessage>(
  local: readonly MESSAGE[],
  known: ReadonlySet<string>,
  answered: boolean,
): MESSAGE[] {
  const last = answered ? local.length : local.findLastIndex(({ id }) => known.has(id));
  return local.filter(({ id, role }, at) => at < last && role === 'user' && !known.has(id));
}

const ANSWERED = /^(output-available|output-error|approval-responded)$/;
const PENDING = /^(input-available|approval-requested)$/;

interface ToolFields {
  toolCallId?: string;
  state?: string;
}

function withLocalResults<MESSAGE extends UIMessage>(message: MESSAGE, own: MESSAGE): MESSAGE {
  const answers = new Map<string, MESSAGE['parts'][number]>();
  for (const part of own.parts) {
    const { toolCallId, state = '' } = part as ToolFields;
    if (toolCallId !== undefined && ANSWERED.test(state)) answers.set(toolCallId, part);
  }
  if (answers.size === 0) return message;
  const parts = message.parts.map(part => {
    const { toolCallId = '', state = '' } = part as ToolFields;
    return PENDING.test(state) ? (answers.get(toolCallId) ?? part) : part;
  });
  return { ...message, parts };
}

/** Compare as JSON: the order of keys does not matter, and `undefined` equals an absent key. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].every(key => isSame(left[key], right[key]));
}
