// WebKit, by its own driver over WebDriver: MiniBrowser, in windows that nobody sees (Xvfb).
//
// A driver has one session, which is a profile: a browser with nothing kept. Its windows are pages.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const START_LIMIT_MS = 20_000;
const ENTER = '\uE007';
const KEYS = { Enter: ENTER, Tab: '\uE004', Escape: '\uE00C' };

export async function launch(driver) {
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1600x1200x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  const [display] = await once(screen.stdio[3], 'data');
  const env = {
    ...process.env,
    DISPLAY: `:${String(display).trim()}`,
    // No sound, no bus, no graphics card: none of it is there.
    NO_AT_BRIDGE: '1',
    LIBGL_ALWAYS_SOFTWARE: '1',
    WEBKIT_DISABLE_DMABUF_RENDERER: '1',
  };
  const sessions = new Set();

  async function newContext({ cookies = true } = {}) {
    const session = await Session.start(driver, env, cookies ? [] : ['--cookies-policy=never']);
    sessions.add(session);
    return {
      newPage: () => session.newPage(),
      close: async () => {
        sessions.delete(session);
        await session.close();
      },
    };
  }

  return {
    newContext,
    async close() {
      await Promise.all([...sessions].map(session => session.close()));
      screen.kill();
    },
  };
}

class Session {
  #last = Promise.resolve();
  #fresh = true;

  static async start(driver, env, args) {
    const port = await freePort();
    const process = spawn(driver, [`--port=${port}`], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    const session = new Session(process, `http://127.0.0.1:${port}`);
    const deadline = Date.now() + START_LIMIT_MS;
    const options = { 'webkitgtk:browserOptions': { args: ['--automation', ...args] } };
    for (;;) {
      try {
        const capabilities = { alwaysMatch: options };
        const { sessionId } = await session.ask('POST', '/session', { capabilities });
        session.path = `/session/${sessionId}`;
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await pause(100);
      }
    }
    await session.ask('POST', `${session.path}/timeouts`, { script: 60_000, pageLoad: 60_000 });
    return session;
  }

  constructor(process, address) {
    this.process = process;
    this.address = address;
  }

  async newPage() {
    return this.inTurn(async () => {
      const handle = this.#fresh
        ? await this.ask('GET', `${this.path}/window`)
        : (await this.ask('POST', `${this.path}/window/new`, { type: 'window' })).handle;
      this.#fresh = false;
      return likePlaywright(this, handle);
    });
  }

  /** One command after the other: each is for the window that was chosen last. */
  inTurn(act) {
    const done = this.#last.then(act);
    this.#last = done.catch(() => {});
    return done;
  }

  command(handle, method, path, body) {
    return this.inTurn(async () => {
      await this.ask('POST', `${this.path}/window`, { handle });
      return this.ask(method, `${this.path}${path}`, body);
    });
  }

  async ask(method, path, body) {
    const response = await fetch(this.address + path, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(method === 'POST' && { body: JSON.stringify(body ?? {}) }),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  async close() {
    await this.ask('DELETE', this.path).catch(() => {}); // it has ended already
    this.process.kill();
  }
}

function likePlaywright(session, handle) {
  const ask = (method, path, body) => session.command(handle, method, path, body);

  async function evaluate(expression) {
    const script = `const done = arguments[arguments.length - 1];
      Promise.resolve().then(() => (${expression})).then(
        value => done({ json: JSON.stringify(value) ?? 'null' }),
        error => done({ error: String(error?.stack ?? error) }),
      );`;
    const { json, error } = await ask('POST', '/execute/async', { script, args: [] });
    if (error) throw new Error(error);
    return JSON.parse(json); // the driver makes null of what is undefined
  }
  /** From here on: what was thrown while the page was loading has not been heard. */
  async function watch() {
    await evaluate(`(() => {
      if (window.complaintsOfPage) return;
      window.complaintsOfPage = [];
      const keep = error => window.complaintsOfPage.push(String(error?.stack ?? error));
      addEventListener('error', ({ error, message }) => keep(error ?? message));
      addEventListener('unhandledrejection', ({ reason }) => keep(reason));
    })()`);
  }
  const element = async (using, value) =>
    Object.values(await ask('POST', '/element', { using, value }))[0];

  return {
    evaluate,
    on: () => {}, // see `complaints`
    complaints: () => evaluate('window.complaintsOfPage ?? []'),
    async goto(url) {
      await ask('POST', '/url', { url });
      await watch();
    },
    async reload() {
      await ask('POST', '/refresh');
      await watch();
    },
    goBack: () => ask('POST', '/back'),
    bringToFront: () => ask('POST', '/window', { handle }),
    close: () => ask('DELETE', '/window'),
    setViewportSize: ({ width, height }) => ask('POST', '/window/rect', { x: 0, y: 0, width, height }),
    emulateMedia: async () => {},
    async waitForFunction(condition) {
      const deadline = Date.now() + 30_000;
      while (!(await evaluate(`Boolean((${condition})())`))) {
        if (Date.now() > deadline) throw new Error(`not within 30 s: ${condition}`);
        await pause(25);
      }
    },
    screenshot: async ({ path }) => {
      await writeFile(path, Buffer.from(await ask('GET', '/screenshot'), 'base64'));
    },
    keyboard: {
      type: text => keys([...text]),
      press: key => keys([KEYS[key] ?? key]),
    },
    getByRole: (_, { name }) => ({
      first: () => ({
        async click() {
          const id = await element('xpath', `//button[@aria-label="${name}" or normalize-space(.)="${name}"]`);
          await ask('POST', `/element/${id}/click`);
        },
      }),
    }),
  };

  function keys(values) {
    const actions = values.flatMap(value => [
      { type: 'keyDown', value },
      { type: 'keyUp', value },
    ]);
    return ask('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
  }
}

/** Free a moment ago: nothing better can be known before the driver listens. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
