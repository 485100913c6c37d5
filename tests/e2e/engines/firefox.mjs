// Firefox, by Puppeteer over WebDriver BiDi.

import { createRequire } from 'node:module';
import { join } from 'node:path';

/** What a test does not want to wait for, or to have asked in its network. */
const PREFERENCES = {
  'browser.shell.checkDefaultBrowser': false,
  'dom.disable_open_during_load': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};
const COOKIES_BLOCKED = { 'network.cookie.cookieBehavior': 2 };

export async function launch(executablePath, workspace) {
  const require = createRequire(join(workspace, 'app', 'package.json'));
  const { default: puppeteer } = await import(require.resolve('puppeteer-core'));
  const browsers = [];

  async function start(more = {}) {
    const browser = await puppeteer.launch({
      browser: 'firefox',
      executablePath,
      headless: true,
      extraPrefsFirefox: { ...PREFERENCES, ...more },
      defaultViewport: null,
    });
    browsers.push(browser);
    return browser;
  }
  const browser = await start();

  return {
    async newContext({ cookies = true } = {}) {
      const of = cookies ? browser : await start(COOKIES_BLOCKED);
      const context = await of.createBrowserContext();
      return {
        newPage: async () => likePlaywright(await context.newPage()),
        close: () => (cookies ? context.close() : of.close()),
      };
    },
    close: () => Promise.all(browsers.map(each => each.close())),
  };
}

function likePlaywright(page) {
  return {
    evaluate: expression => page.evaluate(expression),
    on: (event, listener) => page.on(event, listener),
    goto: url => page.goto(url),
    reload: () => page.reload(),
    goBack: () => page.goBack(),
    bringToFront: () => page.bringToFront(),
    close: () => page.close(),
    setViewportSize: size => page.setViewport(size),
    emulateMedia: ({ colorScheme, reducedMotion }) =>
      page.emulateMediaFeatures?.([
        ...(colorScheme ? [{ name: 'prefers-color-scheme', value: colorScheme }] : []),
        ...(reducedMotion ? [{ name: 'prefers-reduced-motion', value: reducedMotion }] : []),
      ]).catch(() => {}), // not in every engine
    waitForFunction: condition => page.waitForFunction(condition),
    screenshot: options => page.screenshot(options),
    keyboard: page.keyboard,
    getByRole: (role, { name }) => ({
      first: () => page.locator(`::-p-aria([name="${name}"][role="${role}"])`),
    }),
  };
}
