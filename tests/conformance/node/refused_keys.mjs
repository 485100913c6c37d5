// JSON texts on standard input, each a JSON string on a line of its own.
// Prints for each which versions of the AI SDK refuse to read it: a JSON list.
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const readers = {};
for (const version of ['ai5', 'ai6', 'ai7']) {
  const own = createRequire(createRequire(import.meta.url).resolve(`${version}/package.json`));
  const found = own.resolve.paths('x').map(folder => `${folder}/@ai-sdk/provider-utils/package.json`);
  const { readFileSync, existsSync } = await import('node:fs');
  const file = found.find(existsSync);
  const { exports } = JSON.parse(readFileSync(file, 'utf8'));
  const entry = new URL(exports['.'].import, pathToFileURL(file));
  readers[version] = (await import(entry)).safeParseJSON;
}

for await (const line of createInterface({ input: process.stdin })) {
  const text = JSON.parse(line);
  const refused = [];
  for (const [version, read] of Object.entries(readers)) {
    if (!(await read({ text })).success) refused.push(version);
  }
  console.log(JSON.stringify(refused));
}
