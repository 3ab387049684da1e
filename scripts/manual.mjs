// Makes the manual pages in dist/man from the help texts; with --schema also the schema of
// wayward.config.json, which is kept in docs/schemas.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { commands } from '../src/cli/commands.ts';
import { configSchema } from '../src/cli/manual/config-schema.ts';
import { manualPages } from '../src/cli/manual/pages.ts';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const loaded = await Promise.all(
  commands.map(async (entry) => ({ ...entry, command: await entry.load() })),
);
mkdirSync('dist/man', { recursive: true });
for (const { file, source } of manualPages(loaded, version)) {
  writeFileSync(`dist/man/${file}`, source);
}
if (process.argv.includes('--schema')) {
  const schema = JSON.stringify(configSchema(loaded), undefined, 2);
  writeFileSync('docs/schemas/wayward.config.schema.json', `${schema}\n`);
}
