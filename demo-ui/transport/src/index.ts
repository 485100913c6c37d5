export type { Branches } from './branches.js';
export { MidstreamError } from './errors.js';
export type { Presence, QueueEntry, QueueState, RunInfo, SteerOutcome } from './feed/session-model.js';
export type { QueueActions } from './queue.js';
export {
  type ChatLike,
  ChatSession,
  type Phase,
  type SessionState,
  type UnsentMessage,
} from './session.js';
export { MidstreamChatTransport, type MidstreamChatTransportOptions } from './transport.js';
