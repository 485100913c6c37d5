export { MidstreamError } from './errors.js';
export { MidstreamChatTransport, type MidstreamChatTransportOptions } from './transport.js';
