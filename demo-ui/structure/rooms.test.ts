import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { faultsOf } from './faults.ts';
import { APP, TRANSPORT } from './rooms.ts';

it.each([
  ['transport/src', TRANSPORT],
  ['app/src', APP],
])('%s keeps to its rooms and its sizes', (folder, layers) => {
  const cwd = fileURLToPath(new URL(`../${folder}/`, import.meta.url));
  const paths = globSync('**/*.{ts,tsx}', { cwd }).sort();
  const rooms = new Set(paths.map(path => path.split('/')[0]));
  const sources = paths.map(path => ({ path, text: readFileSync(cwd + path, 'utf8') }));
  expect(faultsOf(sources, layers)).toEqual([]);
  expect(layers.flat().filter(room => !rooms.has(room))).toEqual([]);
});
