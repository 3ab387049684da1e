// Lists the licences of all packages that an installation may bring, with those that are asked for later, in
// docs/licences.md. They are what the lock file says; a test compares.
import { readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const lock = JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8'));

function licencesPage() {
  const packages = Object.entries(lock.packages)
    .filter(([path, { dev, link }]) => path !== '' && !dev && !link)
    .map(([path, { version, license, optional, peer }]) => ({
      name: path.replace(/^.*node_modules\//, ''),
      version,
      license: license ?? '?',
      // Other platforms' builds, and what networks need.
      when: optional || peer ? 'where it is wanted' : 'always',
    }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const rows = packages.map(
    ({ name, version, license, when }) => `| ${name} | ${version} | ${license} | ${when} |`,
  );
  return `# Licences of what Wayward uses

Made by \`npm run licences\` from the lock file. Wayward itself is under the [MIT licence](../LICENSE).

| package | version | licence | installed |
|---|---|---|---|
${[...new Set(rows)].join('\n')}
`;
}

const page = new URL('docs/licences.md', root);
if (!process.argv.includes('--check')) writeFileSync(page, licencesPage());
else if (readFileSync(page, 'utf8') !== licencesPage()) {
  console.error('docs/licences.md is not what the lock file says: npm run licences');
  process.exit(1);
}
