export { MidstreamError } from './errors.js';
export { ChatSession, } from './session.js';
export { MidstreamChatTransport } from './transport.js';
