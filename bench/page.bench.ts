/**
 * The report's page of 1,000 traces, 25 of them looked into, beside one of 30: its size, and the time that the
 * browser's main thread takes until it can be used. Needs Chromium.
 *
 *     node bench/page.bench.ts [CHROMIUM]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { renderReport } from '../src/report/page/html-report.ts';
import { madeUpReport } from '../test/report/made-up-report.ts';
import { tell, watchMachine } from './figures.ts';

watchMachine();
const rounds = 5;
const [executablePath = '/usr/bin/chromium'] = process.argv.slice(2);

/** A report as `report` makes it: features of a usual number, and few traces looked into. */
function pageOf(traces: number): string {
  const data = madeUpReport({ traces });
  const features = Array.from({ length: 32 }, (_, i) => ({
    ...{ key: `feature-${i}`, name: `a feature of a usual name, number ${i}`, value: i / 7 },
    pValue: (i + 1) / 33,
  }));
  const rows = data.rows.map((row, i) =>
    i < 25 ? { ...row, features } : { ...row, features, detail: undefined },
  );
  return renderReport({ ...data, rows });
}

/** @returns seconds of the main thread until the page is loaded and laid out */
async function load(browser: Browser, path: string): Promise<number> {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  await page.goto(pathToFileURL(path).href);
  const { metrics } = await session.send('Performance.getMetrics');
  await page.close();
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), 'wayward-bench-'));
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu'],
});
try {
  for (const traces of [30, 1000]) {
    const html = pageOf(traces);
    const path = join(folder, `${traces}.html`);
    writeFileSync(path, html);
    const seconds: number[] = [];
    for (let i = 0; i < rounds; i++) seconds.push(await load(browser, path));
    const middle = seconds.sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN;
    const size = (Buffer.byteLength(html) / 1e6).toFixed(2);
    tell({
      ...{ name: `page of ${traces} traces usable`, value: middle, unit: 's of the main thread' },
      goal: { most: 1 },
    });
    console.log(`${traces} traces: ${size} MB, ${middle.toFixed(2)} s of the main thread`);
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
