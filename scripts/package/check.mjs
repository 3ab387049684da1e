// Packs Wayward, installs it into empty folders with the registry alone, and uses it there as people do: with the
// oldest Node that it supports, with the pinned one, and with one that is too old. `npm run test:package`.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { toolsOf } from '../setup.mjs';

const mostPacked = 5 * 2 ** 20;
const mostInstalled = 60 * 2 ** 20;
/** Compiled parts of packages: each has to come for both machines. */
const machines = ['linux-x64', 'linux-arm64'];

const root = resolve(import.meta.dirname, '../..');
process.chdir(root);
toolsOf('scripts/package', process.execPath);
checkLock();
const work = mkdtempSync(join(tmpdir(), 'wayward-package-'));
try {
  const tarball = pack();
  const installed = join(work, 'installed');
  install(tarball, installed);
  for (const node of [oldestNode(), process.execPath]) use(node, join(installed, 'node_modules'));
  useGlobally(tarball);
  tryUnbuilt();
  tryAncientNode(join(installed, 'node_modules/wayward'));
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Every package with compiled parts names one for each machine; none needs its install script. */
function checkLock() {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const names = Object.entries(packages)
    .filter(([, { dev }]) => !dev)
    .map(([path]) => path);
  const families = new Set(names.flatMap((name) => /^(.*?)-?linux-x64/.exec(name)?.[1] ?? []));
  for (const family of families) {
    for (const machine of machines) {
      const isThere = names.some((name) => name.startsWith(`${family}-${machine}`));
      check(isThere || names.includes(`${family}${machine}`), `${family} has a ${machine} build`);
    }
  }
  check(families.size > 0, `${families.size} packages with compiled parts come for x64 and arm64`);
}

function pack() {
  const { stdout } = run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', work]);
  const [{ filename, size, files }] = [JSON.parse(stdout)].flatMap((value) =>
    Array.isArray(value) ? value : Object.values(value),
  );
  check(size < mostPacked, `packed: ${megabytes(size)}, ${files.length} files`);
  const strays = files.filter(({ path }) => /\.test\.|node_modules|^docs\/api/.test(path));
  check(strays.length === 0, 'no tests in it');
  const code = files.filter(({ path }) => /^dist\/.*\.js$/.test(path)).length;
  check(code > 0 && code < 200, `its code in ${code} files`);
  return join(work, filename);
}

/** With the registry alone: install scripts, which could load from elsewhere, do not run. */
function install(tarball, folder) {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  npm(['install', '--ignore-scripts', tarball], folder);
  const modules = join(folder, 'node_modules');
  const bytes = bytesBelow(modules);
  check(bytes <= mostInstalled, `installed: ${megabytes(bytes)}`);
  check(!existsSync(join(modules, 'onnxruntime-node')), 'without ONNX Runtime');
}

function use(node, modules) {
  const { stdout: version } = run(node, ['--version']);
  const folder = mkdtempSync(join(work, 'use-'));
  const package_ = join(modules, 'wayward');
  const wayward = (...words) => run(node, [join(package_, 'bin/wayward.cjs'), ...words], folder);
  const on = `on Node ${version.trim()}`;
  check(wayward('--version').stdout.trim() === manifest().version, `--version ${on}`);
  check(wayward('doctor', '--json').status === 0, `doctor ${on}`);

  const { models } = JSON.parse(wayward('demo', '--json').stdout);
  const [{ model, run: learned, flagged, page }] = models;
  check(models.length === 1 && model === 'ngram', `demo ${on}: without a network`);
  // Of 35 attacks; how many are found is for benchmarks to say.
  check(flagged >= 18 && existsSync(page), `demo ${on}: ${flagged} of 99 flagged`);

  const traces = join(package_, 'examples/corpus/traces');
  const attack = readdirSync(traces).find((name) => name.startsWith('rop-'));
  // Of harmless runs one in twenty may be flagged; which ones is not for this to say.
  const harmless = readdirSync(traces).filter((name) => name.startsWith('nominal-test-'));
  const judgedRuns = [attack, ...harmless.slice(0, 5)].map((name) => join(traces, name));
  const { samples } = JSON.parse(wayward('judge', learned, ...judgedRuns, '--json').stdout);
  const [first, ...others] = samples.map(({ verdict }) => verdict);
  const alarms = others.filter((verdict) => verdict === 'anomalous').length;
  const isRight = first === 'anomalous' && others.length === 5 && alarms <= 2;
  check(isRight, `judge ${on}: an attack ${first}, ${alarms} of 5 harmless runs flagged`);

  // The model that a user gets who names none is not that of the demo.
  wayward('learn', join(package_, 'examples/corpus'), '--profile', 'p.wayward');
  const mainJob = wayward('judge', 'p.wayward', join(traces, attack), '--exit-code');
  check(mainJob.status === 10, `learn and judge ${on}`, mainJob.stderr);

  const network = wayward('learn', join(package_, 'examples/corpus'), '--model', 'lstm');
  const lines = network.stderr.trim().split('\n');
  check(
    network.status === 2 && lines.length === 1 && /npm install .*onnxruntime-node/.test(lines[0]),
    `a network is asked for in a line ${on}`,
  );

  const example = join(modules, '..', 'judge-a-run.ts');
  cpSync(join(root, 'examples/library/judge-a-run.ts'), example);
  const judged = run(node, [example, join(package_, 'examples/corpus'), attack], folder);
  check(judged.stdout.startsWith(`${attack}: anomalous`), `the library ${on}`);
}

/** As the README says: `npm install --global`, and `npx`. */
function useGlobally(tarball) {
  const prefix = join(work, 'global');
  mkdirSync(prefix);
  npm(['install', '--global', '--ignore-scripts', '--prefix', prefix, tarball], work);
  const { stdout } = run(join(prefix, 'bin/wayward'), ['--version']);
  check(stdout.trim() === manifest().version, 'npm install --global');
  const npx = npm(['exec', '--yes', '--package', tarball, '--', 'wayward', '--version'], work);
  check(npx.stdout.trim() === manifest().version, 'npx');
}

/** What was packed without a build: npm runs no `prepack` where `.npmrc` forbids install scripts. */
function tryUnbuilt() {
  const folder = join(work, 'unbuilt');
  for (const name of ['bin', 'package.json']) cpSync(name, join(folder, name), { recursive: true });
  const { status, stderr } = run(process.execPath, [join(folder, 'bin/wayward.cjs')]);
  check(status === 2 && /^wayward: not built; .*\n$/.test(stderr), 'without a build: a sentence');
}

function tryAncientNode(installed) {
  const node = join(root, 'scripts/package/node_modules/ancient/bin/node');
  if (!existsSync(node)) return;
  const { status, stderr } = run(node, [join(installed, 'bin/wayward.cjs'), 'demo']);
  const isSentence = /^wayward: Node [\d.]+ or newer is needed; this is v0\.10\.48\. .*\n$/.test(
    stderr,
  );
  check(status === 2 && isSentence, 'Node 0.10 is told in a sentence that it is too old');
}

function oldestNode() {
  const folder = process.arch === 'arm64' ? 'oldest-arm64' : 'oldest';
  return join(root, 'scripts/package/node_modules', folder, 'bin/node');
}

function manifest() {
  return JSON.parse(readFileSync('package.json', 'utf8'));
}

function npm(words, cwd) {
  const result = run('npm', [...words, '--no-audit', '--no-fund', '--loglevel=error'], cwd);
  check(result.status === 0, `npm ${words[0]}`, result.stderr);
  return result;
}

function run(program, words, cwd = root) {
  // npm hands its own options to what it runs as variables; they are not meant for another npm.
  const kept = Object.entries(process.env).filter(([key]) => !/^npm_config_/i.test(key));
  // As `node` of scripts, too, and with a cache of its own.
  const env = {
    ...Object.fromEntries(kept),
    // What npm installs finds Node there; the machine's own may be too old.
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
    XDG_CACHE_HOME: join(work ?? tmpdir(), 'cache'),
  };
  const { status, stdout, stderr, error } = spawnSync(program, words, {
    ...{ cwd, env, encoding: 'utf8', maxBuffer: 1 << 28 },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

function bytesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => statSync(join(folder, name)))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Says what holds; ends with everything known where something does not. */
function check(holds, what, more = '') {
  if (holds) {
    console.log(`ok  ${what}`);
    return;
  }
  console.error(`BAD ${what}\n${more}`);
  process.exitCode = 1;
  throw new Error(`the package: ${what}`);
}
