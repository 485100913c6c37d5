// Chromium, by Playwright. The other engines answer to as much of its interface as the tests use.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ARGS = ['--no-sandbox', '--disable-dev-shm-usage', '--enable-precise-memory-info'];
const COOKIES_BLOCKED = { profile: { default_content_setting_values: { cookies: 2 } } };

export async function launch(executablePath, workspace) {
  const require = createRequire(join(workspace, 'app', 'package.json'));
  const { chromium } = require('playwright-core');
  const browser = await chromium.launch({ executablePath, args: ARGS });
  const extra = [];

  /** A setting of the person's, for which there is no switch. */
  async function withoutCookies() {
    const folder = await mkdtemp(join(tmpdir(), 'chromium-'));
    await mkdir(join(folder, 'Default'));
    await writeFile(join(folder, 'Default', 'Preferences'), JSON.stringify(COOKIES_BLOCKED));
    const context = await chromium.launchPersistentContext(folder, { executablePath, args: ARGS });
    extra.push(() => rm(folder, { recursive: true, force: true }));
    extra.push(() => context.close());
    return context;
  }

  return {
    newContext: ({ cookies = true } = {}) => (cookies ? browser.newContext() : withoutCookies()),
    async close() {
      for (const end of extra.reverse()) await end();
      await browser.close();
    },
  };
}
