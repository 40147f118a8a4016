// screenshots.mjs URL FOLDER DESKTOP-AGENT PHONE-AGENT: the whole page as desktop and phone show it, light and dark, and
// the box alone. Speaks Chromium's DevTools protocol over a pipe (file descriptors 3 and 4, messages end in NUL), so it
// needs no package. Fails when a page is wider than its window, or the browser had something to complain of.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [url, folder, desktop, phone] = process.argv.slice(2);
const views = [
  { name: 'desktop-light', width: 1280, scheme: 'light', agent: desktop, box: 'box-light' },
  { name: 'desktop-dark', width: 1280, scheme: 'dark', agent: desktop, box: 'box-dark' },
  { name: 'phone-light', width: 390, scheme: 'light', agent: phone },
  { name: 'phone-dark', width: 390, scheme: 'dark', agent: phone },
  { name: 'phone-narrow', width: 320, scheme: 'light', agent: phone },
];

const profile = mkdtempSync(join(tmpdir(), 'profile-'));
const browser = spawn('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--remote-debugging-pipe',
  `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const gone = new Promise((resolve) => browser.on('exit', resolve));
const deadline = setTimeout(() => browser.kill('SIGKILL'), 90000);

const answers = new Map();      // number of a call -> what waits for its result
const listeners = new Map();    // name of an event -> what waits for it
const complaints = [];
let calls = 0;
let received = '';

browser.stdio[4].on('data', (bytes) => {
  received += bytes;
  const messages = received.split('\0');
  received = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id) answers.get(message.id)(message);
    else if (message.method === 'Log.entryAdded') complaints.push(message.params.entry.text);
    else listeners.get(message.method)?.();
  }
});

function call(method, params = {}, sessionId = undefined) {
  return new Promise((resolve, reject) => {
    calls += 1;
    answers.set(calls, ({ error, result }) => (error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result)));
    browser.stdio[3].write(`${JSON.stringify({ id: calls, method, params, sessionId })}\0`);
  });
}

async function capture(page, view) {
  const value = async (expression) => (await page('Runtime.evaluate', { expression, returnByValue: true })).result.value;
  const picture = async (name, clip) => {
    const { data } = await page('Page.captureScreenshot', { captureBeyondViewport: true, clip: { ...clip, scale: 1 } });
    writeFileSync(join(folder, `${name}.png`), Buffer.from(data, 'base64'));
  };
  const mobile = view.agent === phone;

  await page('Emulation.setUserAgentOverride', { userAgent: view.agent });
  await page('Emulation.setDeviceMetricsOverride',
    { width: view.width, height: mobile ? 844 : 900, deviceScaleFactor: mobile ? 2 : 1, mobile });
  await page('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: view.scheme }] });
  const loaded = new Promise((resolve) => listeners.set('Page.loadEventFired', resolve));
  await page('Page.navigate', { url });
  await loaded;
  // Pictures further down load when they come near the window.
  await value('document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; })');
  await page('Runtime.evaluate', { awaitPromise: true,
    expression: 'Promise.all([...document.images].map((image) => image.decode()))' });
  const [width, height] = await value('[document.documentElement.scrollWidth, document.documentElement.scrollHeight]');
  await picture(view.name, { x: 0, y: 0, width: view.width, height });
  if (view.box) {
    const [x, y, w, h] = await value(
      '(({ x, y, width, height }) => [x, y, width, height])(document.querySelector(".counter").getBoundingClientRect())');
    await picture(view.box, { x: x - 12, y: y - 12, width: w + 24, height: h + 24 });
  }
  if (width > view.width) complaints.push(`${view.name}: ${width} pixels wide, in a window of ${view.width}`);
}

const { targetInfos } = await call('Target.getTargets');
const { targetId } = targetInfos.find((target) => target.type === 'page');
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
const page = (method, params) => call(method, params, sessionId);
await page('Page.enable');
await page('Log.enable');
for (const view of views) await capture(page, view);
await call('Browser.close').catch(() => {});
await gone;
clearTimeout(deadline);
rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
for (const complaint of complaints) console.log(`# ${complaint}`);
process.exit(complaints.length === 0 ? 0 : 1);
