import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { silentLogger } from '../../src/base/log.ts';
import { learn } from '../../src/commands/learn.ts';

export const exampleCorpus: string = fileURLToPath(
  new URL('../../examples/corpus', import.meta.url),
);

export interface ExampleProfile {
  readonly folder: string;
  readonly profile: string;
  remove(): void;
}

/** Learns from some nominal runs of the bundled examples. */
export async function learnExamples(runs: number): Promise<ExampleProfile> {
  const folder = mkdtempSync(join(tmpdir(), 'wayward-guard-'));
  const root = join(folder, 'root');
  mkdirSync(join(root, 'traces'), { recursive: true });
  symlinkSync(join(exampleCorpus, 'bin'), join(root, 'bin'));
  const names = readdirSync(join(exampleCorpus, 'traces')).filter((name) =>
    name.startsWith('nominal-train'),
  );
  for (const name of names.slice(0, runs)) {
    symlinkSync(join(exampleCorpus, 'traces', name), join(root, 'traces', name));
  }
  const quiet = { log: silentLogger, progress: () => {} };
  const { profile = '' } = await learn({ root, out: folder, workers: 1 }, quiet);
  return { folder, profile, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
