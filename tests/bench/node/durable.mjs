// The reference server of Durable Streams: in files, each append synced to the disk before it is
// answered; or in memory without a folder.
//
//   node durable.mjs PORT [FOLDER]

import { DurableStreamTestServer } from '@durable-streams/server';

const [port, dataDir] = process.argv.slice(2);
const server = new DurableStreamTestServer({
  port: Number(port),
  host: '127.0.0.1',
  compression: false,
  ...(dataDir ? { dataDir } : {}),
});
await server.start();
