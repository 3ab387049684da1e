// Prepares a release: `npm run release -- 1.2.3`. Checks that the tree is clean and that the changelog says what
// is new, gives both the version, and says what is left to do. Commits nothing, publishes nothing.
// With --check it only says whether it would.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const words = process.argv.slice(2).filter((word) => word !== '--check');
const isCheck = process.argv.includes('--check');
const [version = ''] = words;
const read = (path) => readFileSync(path, 'utf8');
const changelog = read('CHANGELOG.md');
const manifest = JSON.parse(read('package.json'));
const problems = [];

const number = /^(\d+)\.(\d+)\.(\d+)$/;
if (!number.test(version)) problems.push(`"${version}" is no version: 1.2.3`);
else if (!isNewer(version, manifest.version) && version !== manifest.version) {
  problems.push(`${version} is older than ${manifest.version} of package.json`);
}
const [, news = ''] = /^## Unreleased\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(changelog) ?? [];
if (!/^- /m.test(news)) problems.push('CHANGELOG.md has nothing under "## Unreleased"');
if (changelog.includes(`\n## ${version}\n`) || changelog.includes(`\n## ${version}, `)) {
  problems.push(`CHANGELOG.md has ${version} already`);
}
if (/^(<{7}|>{7})/m.test(changelog)) problems.push('CHANGELOG.md holds marks of a merge');
if (!isCheck && spawnSync('git', ['status', '--porcelain']).stdout.length > 0) {
  problems.push('the tree is not clean: commit first');
}
if (problems.length > 0) {
  for (const problem of problems) console.error(`release: ${problem}`);
  process.exit(1);
}
if (isCheck) process.exit(0);

const day = new Date().toISOString().slice(0, 10);
const said = changelog.replace('## Unreleased\n', `## Unreleased\n\n## ${version}, ${day}\n`);
writeFileSync('CHANGELOG.md', said);
for (const path of ['package.json', 'package-lock.json']) {
  // The first two of the lock file: its own, and that of the root package.
  let left = path === 'package.json' ? 1 : 2;
  const text = read(path).replace(/"version": "[^"]*"/g, (old) =>
    left-- > 0 ? `"version": "${version}"` : old,
  );
  writeFileSync(path, text);
}
console.log(`CHANGELOG.md, package.json and package-lock.json say ${version}. What is left:

  npm test
  git commit -am "Release ${version}" && git tag v${version}
  npm run build && npm pack`);

function isNewer(a, b) {
  const [x, y] = [a, b].map((each) => each.split('.').map(Number));
  const i = x.findIndex((part, at) => part !== y[at]);
  return i >= 0 && x[i] > y[i];
}
