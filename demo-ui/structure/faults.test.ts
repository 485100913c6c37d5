import { describe, expect, it } from 'vitest';

import { faultsOf, type Source } from './faults.ts';
import type { Layers } from './rooms.ts';

const LAYERS: Layers = [['main.ts'], ['left', 'right'], ['ground']];

/** Sources by path. */
function sources(files: Record<string, string>): Source[] {
  return Object.entries(files).map(([path, text]) => ({ path, text }));
}

function functionOf(lines: number): string {
  return `function long() {\n${'  work();\n'.repeat(lines - 2)}}\n`;
}

const WELL = {
  'main.ts': "import './styles.css';\nimport { a } from './left/a.js';\nimport 'vitest';\n",
  'left/a.ts': "export * from '../ground/g.js';\nimport type { B } from './b.js';\n",
  'left/b.ts': functionOf(50),
  'right/c.tsx': "const later = () => import('../ground/g');\n",
  'ground/g.ts': `export const g = 1;\n${'// a line\n'.repeat(399)}`,
  ...Object.fromEntries(Array.from({ length: 13 }, (_, at) => [`ground/other-${at}.ts`, ''])),
};

describe('the checker of rooms', () => {
  it('finds nothing where imports point down and everything is within its limits', () => {
    expect(faultsOf(sources(WELL), LAYERS)).toEqual([]);
  });

  it.each<[kind: string, files: Record<string, string>, fault: string]>([
    [
      'an import of a room above',
      { 'ground/g.ts': "import { a } from '../left/a.js';", 'left/a.ts': '' },
      'ground/g.ts imports left/a.ts, which is above it',
    ],
    [
      'an import of a type alone',
      { 'ground/g.ts': "import type { A } from '../left/a.js';", 'left/a.ts': '' },
      'ground/g.ts imports left/a.ts, which is above it',
    ],
    [
      'a type that is imported where it is used',
      { 'ground/g.ts': "type A = import('../left/a.js').A;", 'left/a.ts': '' },
      'ground/g.ts imports left/a.ts, which is above it',
    ],
    [
      'an import when it is needed',
      { 'ground/g.ts': "void import('../left/a');", 'left/a.tsx': '' },
      'ground/g.ts imports left/a.tsx, which is above it',
    ],
    [
      'an export of what another module has',
      { 'ground/g.ts': "export { a } from '../left/a.js';", 'left/a.ts': '' },
      'ground/g.ts imports left/a.ts, which is above it',
    ],
    [
      'an import of the room beside',
      { 'left/a.ts': "export * from '../right/c.js';", 'right/c.ts': '' },
      'left/a.ts imports right/c.ts, which is beside it',
    ],
    [
      'a circle within a room',
      {
        'left/a.ts': "import './b.js';",
        'left/b.ts': "import './c.js';",
        'left/c.ts': "import type { B } from './b.js';",
      },
      'circle: left/b.ts -> left/c.ts -> left/b.ts',
    ],
    ['a file in no room', { 'attic/a.ts': '' }, 'attic/a.ts is in no room of structure/rooms.ts'],
    [
      'a folder that is full',
      Object.fromEntries(Array.from({ length: 15 }, (_, at) => [`left/${at}.ts`, ''])),
      'left has 15 files; 14 is the limit',
    ],
    [
      'a file that is long',
      { 'left/a.ts': '// a line\n'.repeat(401) },
      'left/a.ts has 401 lines; 400 is the limit',
    ],
    [
      'a function that is long',
      { 'left/a.ts': `\n${functionOf(51)}` },
      'left/a.ts:2 is a function of 51 lines; 50 is the limit',
    ],
    [
      'a method that is long',
      { 'left/a.ts': `class A {\n${functionOf(51).replace('function ', '')}}` },
      'left/a.ts:2 is a function of 51 lines; 50 is the limit',
    ],
    [
      'a component that is long',
      { 'left/a.tsx': `const A = memo(() => (\n<p>\n${'text\n'.repeat(48)}</p>\n));` },
      'left/a.tsx:1 is a function of 52 lines; 50 is the limit',
    ],
    [
      'a cast through unknown',
      { 'left/a.ts': 'const a = (b as unknown as string);' },
      'left/a.ts:1 casts through unknown',
    ],
  ])('finds %s', (_, files, fault) => {
    expect(faultsOf(sources(files), LAYERS)).toEqual([fault]);
  });

  it.each([
    ['a file that it cannot read', { 'left/a.ts': 'const = ;' }],
    ['an import that it cannot find', { 'left/a.ts': "import './gone.js';" }],
  ])('passes over nothing: %s is an error', (_, files) => {
    expect(() => faultsOf(sources(files), LAYERS)).toThrow(/unable to (read|find)/);
  });
});
