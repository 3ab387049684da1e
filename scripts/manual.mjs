// Makes the manual pages in dist/man from the help texts of what is built; with --schema also the schema of
// wayward.config.json, which is kept in docs/schemas.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { commands } from '../dist/cli/commands.js';
import { configSchema } from '../dist/cli/manual/config-schema.js';
import { manualPages } from '../dist/cli/manual/pages.js';

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
