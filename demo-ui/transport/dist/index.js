export { MidstreamError } from './errors.js';
export { MidstreamChatTransport } from './transport.js';
