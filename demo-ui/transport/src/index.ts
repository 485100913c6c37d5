export { MidstreamError } from './errors.js';
export type { Presence, RunInfo } from './feed/session-model.js';
export {
  type ChatLike,
  ChatSession,
  type Phase,
  type SessionState,
  type UnsentMessage,
} from './session.js';
export { MidstreamChatTransport, type MidstreamChatTransportOptions } from './transport.js';
