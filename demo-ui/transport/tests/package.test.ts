import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

import { build } from 'vite';
import { describe, expect, it } from 'vitest';

const FOLDER = fileURLToPath(new URL('..', import.meta.url));
const LIMIT_BYTES = 13_000;

describe('the package', () => {
  it('is under 13 kB, minified and gzipped, without its peers', async () => {
    const output = await build({
      root: FOLDER,
      configFile: false,
      logLevel: 'silent',
      build: {
        write: false,
        minify: true,
        // Built as by applications: in library mode, Vite keeps the white space.
        rolldownOptions: {
          input: ['tests/support/everything.ts'],
          external: ['ai', 'react'],
          preserveEntrySignatures: 'strict',
        },
      },
    });
    const { output: files } = output as unknown as { output: { code: string }[] };
    const bytes = gzipSync(files.map(({ code }) => code).join('\n')).length;
    console.log(`midstream: ${bytes} bytes minified and gzipped`);
    expect(bytes).toBeLessThan(LIMIT_BYTES);
  });

  it('exports these names, and no others', async () => {
    const [index, react] = await Promise.all([import('../src/index.js'), import('../src/react.js')]);
    expect(Object.keys(index).sort()).toEqual(['ChatSession', 'MidstreamChatTransport', 'MidstreamError']);
    expect(Object.keys(react)).toEqual(['useSession']);
  });

  it.each(['ai5', 'ai6', 'ai7'])('has the types of a transport for %s', async version => {
    const tsc = fileURLToPath(import.meta.resolve('typescript/package.json')).replace(
      'package.json',
      'bin/tsc',
    );
    const options = ['-p', `tests/types/${version}.json`, '--listFiles'];
    const run = promisify(execFile)(process.execPath, [tsc, ...options], { cwd: FOLDER });
    const { stdout } = await run.catch((error: { stdout: string }) => Promise.reject(error.stdout));
    expect(stdout).toContain('tests/types/usage.ts');
  }, 60_000);
});
