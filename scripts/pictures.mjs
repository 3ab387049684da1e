// Makes the picture in the tutorial as its reader sees it: types the commands of docs/tutorial.md in an empty folder and
// shows the hijacked run's page in a browser.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const folder = mkdtempSync(join(tmpdir(), 'wayward-pictures-'));
try {
  const commands = [...readFileSync('docs/tutorial.md', 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)];
  const wayward = `wayward() { '${process.execPath}' '${resolve('bin/wayward.cjs')}' "$@"; }`;
  const script = ['set -e', wayward, ...commands.map(([, block]) => block)].join('\n');
  const { status } = spawnSync('bash', ['-c', script], { cwd: folder, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`the commands of the tutorial ended with ${status}`);
  await shoot(join(folder, 'suspect.html'), 'evil.log', 'docs/pictures/tutorial-trace.png');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function shoot(page, trace, picture) {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  try {
    const tab = await browser.newPage({ viewport: { width: 1280, height: 1500 } });
    await tab.goto(pathToFileURL(page).href);
    await tab.locator('.overview tbody a', { hasText: trace }).first().click();
    await tab.screenshot({ path: picture });
  } finally {
    await browser.close();
  }
}
