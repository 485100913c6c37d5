// A real browser for a test that is written elsewhere.
//
// Reads one command a line from stdin, writes one answer a line to stdout:
//   {"id": 1, "command": "open", "tab": "a", ...} -> {"id": 1, "result": ...} | {"id": 1, "error": "..."}
// A profile is a browser context: cookies, storage, locks and channels of its own, as on another
// device. A tab is a page of one. The packages are the ones that the demo is built with.

import { readFile, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';

const workspace = join(import.meta.dirname, '..', '..', 'demo-ui');
const require = createRequire(join(workspace, 'app', 'package.json'));

const WAIT_LIMIT_MS = 30_000;
const POLL_MS = 25;
const TYPES = { '.html': 'text/html', '.js': 'text/javascript' };
/** What the test page's server has besides it. */
const UNUSUAL = {
  '/download': { 'content-type': 'text/csv', 'content-disposition': 'attachment; filename="rows.csv"' },
  '/elsewhere': { 'content-type': 'text/html' },
};

/** Where each version of the page comes from, by the AI SDK's major version. */
const pages = new Map();
const profiles = new Map();
const tabs = new Map();
const [, , engine, executable] = process.argv;
const { launch } = await import(`./engines/${engine}.mjs`);
const browser = await launch(executable, workspace);

function page(major) {
  if (!pages.has(major)) pages.set(major, serve(major));
  return pages.get(major);
}

async function serve(major) {
  const { build } = await import(require.resolve('vite'));
  const outDir = await mkdtemp(join(tmpdir(), `page-of-ai-${major}-`));
  const names = { ai: `ai${major}`, '@ai-sdk/react': `react${major}` };
  const importer = join(workspace, 'package.json');
  await build({
    configFile: false,
    logLevel: 'error',
    root: join(import.meta.dirname, 'page'),
    build: { outDir, emptyOutDir: true, minify: false, target: 'es2022' },
    resolve: { dedupe: ['react', 'react-dom'] },
    plugins: [
      {
        name: 'packages of the workspace',
        enforce: 'pre',
        resolveId(source, from) {
          if (from?.includes('node_modules')) return null;
          const part = { 'midstream-chat': 'index.ts', 'midstream-chat/react': 'react.ts' }[source];
          if (part) return join(workspace, 'transport', 'src', part);
          // A built copy beside the sources: two classes of each error, and tests of an old build.
          if (source.startsWith('midstream')) throw new Error(`no such part of the package: ${source}`);
          return /^[./\0]/.test(source) || source.includes(import.meta.dirname)
            ? null
            : this.resolve(names[source] ?? source, importer, { skipSelf: true });
        },
      },
    ],
  });
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://page');
    const name = pathname === '/' ? '/index.html' : pathname;
    const headers = { 'content-type': TYPES[extname(name)], ...UNUSUAL[pathname] };
    // As in a sandboxed frame: of no origin, so that its own scripts come from another one.
    if (searchParams.has('sandboxed')) headers['content-security-policy'] = 'sandbox allow-scripts';
    headers['access-control-allow-origin'] = '*';
    try {
      const content = UNUSUAL[pathname] ? '' : await readFile(join(outDir, name));
      response.writeHead(200, headers).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await rm(outDir, { recursive: true });
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, close };
}

function profile(name, options) {
  if (!profiles.has(name)) profiles.set(name, browser.newContext(options));
  return profiles.get(name);
}

const commands = {
  /** Make a profile that is not as any other: `cookies: false` blocks them, and all storage. */
  newProfile: async ({ profile: name, ...options }) => void (await profile(name, options)),

  /** Open a page, or the test page with a query. Complaints of the page are kept. */
  async open({ tab, profile: name, url, ai, query, viewport, dark, still, clock }) {
    const opened = await (await profile(name)).newPage();
    const complaints = [];
    opened.on('pageerror', error => complaints.push(String(error.stack ?? error)));
    // What a page's policy forbids is told in the console; not by every engine.
    opened.on('console', message => {
      if (/Content Security Policy/.test(message.text())) complaints.push(message.text());
    });
    tabs.set(tab, { page: opened, complaints });
    if (clock) await opened.clock.install();
    if (viewport) await opened.setViewportSize(viewport);
    if (dark) await opened.emulateMedia({ colorScheme: 'dark' });
    // Half-way through a transition, colours have contrasts that nobody chose.
    if (still) await opened.emulateMedia({ reducedMotion: 'reduce' });
    await opened.goto(url ?? `${(await page(ai)).url}?${new URLSearchParams(query)}`);
    if (!url) await opened.waitForFunction(() => window.chat !== undefined);
  },

  /** Evaluate a function's source with one argument. */
  evaluate: ({ tab, source, argument }) => evaluate(tab, source, argument),

  /** Wait until such a function returns something true; fails with what `describe` returns. */
  async wait({ tab, source, argument, describe, limit = WAIT_LIMIT_MS }) {
    const deadline = Date.now() + limit;
    // What it returns may be an element, with more behind it than can leave the page.
    const holds = `async argument => Boolean(await (${source})(argument))`;
    while (!(await evaluate(tab, holds, argument))) {
      if (Date.now() < deadline) await new Promise(resolve => setTimeout(resolve, POLL_MS));
      else {
        const seen = describe ? JSON.stringify(await evaluate(tab, describe)) : '';
        const { complaints } = tabs.get(tab);
        throw new Error(`not within ${limit} ms: ${source}\n${seen}\n${complaints.join('\n')}`);
      }
    }
  },

  /** Reload until such a function returns something true; returns the time since it began, in ms. */
  async reloadUntil({ tab, source, argument = null }) {
    const { page } = tabs.get(tab);
    const script = await page.addInitScript(`{
      const look = () => {
        if ((${source})(${JSON.stringify(argument)})) window.reachedAtMs = performance.now();
        else setTimeout(look, 1);
      };
      look();
    }`);
    await page.reload();
    const reached = await page.waitForFunction(() => window.reachedAtMs, null, { timeout: WAIT_LIMIT_MS });
    await script.dispose();
    return reached.jsonValue();
  },

  reload: async ({ tab }) => void (await tabs.get(tab).page.reload()),
  goto: async ({ tab, url }) => void (await tabs.get(tab).page.goto(url)),
  sleep: ({ tab, ms }) => tabs.get(tab).page.clock.fastForward(ms),
  offline: async ({ profile: name, offline }) => (await profile(name)).setOffline(offline),
  complaints: ({ tab }) => tabs.get(tab).page.complaints?.() ?? tabs.get(tab).complaints,
  goBack: async ({ tab }) => void (await tabs.get(tab).page.goBack()),

  async close({ tab }) {
    await tabs.get(tab).page.close();
    tabs.delete(tab);
  },

  async closeProfile({ profile: name }) {
    await (await profiles.get(name))?.close();
    profiles.delete(name);
  },

  screenshot: async ({ tab, path }) => void (await tabs.get(tab).page.screenshot({ path })),
  /** By what assistive technology calls it. */
  click: ({ tab, button }) =>
    tabs.get(tab).page.getByRole('button', { name: button, exact: true }).first().click(),
  /** Press a button that asks for a file, and choose one. */
  async attach({ tab, button, file, type, text }) {
    const { page } = tabs.get(tab);
    const asked = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: button, exact: true }).click();
    await (await asked).setFiles({ name: file, mimeType: type, buffer: Buffer.from(text) });
  },
  /** Drag one button onto another, with the mouse or, in Chromium, with a finger. */
  async drag({ tab, button, onto, finger = false }) {
    const { page } = tabs.get(tab);
    const [from, to] = await Promise.all([button, onto].map(name => middleOf(page, name)));
    const steps = Array.from({ length: 6 }, (_, step) => from.y + ((to.y - from.y) * (step + 1)) / 6);
    if (!finger) {
      await page.mouse.move(from.x, from.y);
      await page.mouse.down();
      for (const y of steps) await page.mouse.move(from.x, y);
      return page.mouse.up();
    }
    const session = await page.context().newCDPSession(page);
    const touch = (type, ...touchPoints) => session.send('Input.dispatchTouchEvent', { type, touchPoints });
    await touch('touchStart', from);
    for (const y of steps) await touch('touchMove', { x: from.x, y });
    await touch('touchEnd');
    await session.detach();
  },
  type: ({ tab, text }) => tabs.get(tab).page.keyboard.type(text),
  press: ({ tab, key }) => tabs.get(tab).page.keyboard.press(key),

  /** What axe-core finds: serious and critical violations, and where. */
  async violations({ tab }) {
    const { page } = tabs.get(tab);
    await page.evaluate(await readFile(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const { violations } = await page.evaluate(() => window.axe.run(document, { iframes: false }));
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => ({ id, where: nodes.map(({ html, failureSummary }) => [html, failureSummary]) }));
  },
};

async function middleOf(page, name) {
  const { x, y, width, height } = await page.getByRole('button', { name, exact: true }).first().boundingBox();
  return { x: x + width / 2, y: y + height / 2 };
}

/** As the browser's own console would: a page's policy may forbid it to evaluate text. */
function evaluate(tab, source, argument = null) {
  return tabs.get(tab).page.evaluate(`(${source})(${JSON.stringify(argument)})`);
}

process.stdout.on('error', () => process.exit(1));
for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[command](rest))
    .then(
      result => ({ id, result: result ?? null }),
      error => ({ id, error: String(error.message ?? error) }),
    )
    .then(answer => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
await browser.close();
for (const served of pages.values()) await (await served).close();
