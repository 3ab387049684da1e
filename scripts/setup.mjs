// Brings a fresh checkout to where its commands run. Each step leaves a stamp of what it was made
// from and is skipped while that is unchanged.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const minimumNode = [22, 18];
const stamps = 'node_modules/.wayward';

/**
 * The Node that the project is tested with comes from the npm registry, so that neither an older
 * nor a newer one on the machine decides whether things work.
 *
 * @returns its path; the running Node where the registry has none for this platform
 */
export function pinnedNode() {
  const folder = 'scripts/node';
  const path = join(folder, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin/node');
  const lock = readFileSync(`${folder}/package-lock.json`);
  if (lock.includes(`node_modules/node-${process.platform}-${process.arch}"`)) {
    step(`${folder}/node_modules/.stamp`, hash(lock), existsSync(path), () => {
      say('Fetching the pinned Node');
      npm(process.execPath, ['ci', '--prefix', folder]);
    });
    return path;
  }
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < minimumNode[0] || (major === minimumNode[0] && minor < minimumNode[1])) {
    fail(
      `Node ${minimumNode.join('.')} or newer is needed on ${process.platform}-${process.arch}; this is ${process.version}.`,
    );
  }
  return process.execPath;
}

/** Installs the locked dependencies. */
export function dependencies(node) {
  const made = hash(readFileSync('package-lock.json'), node);
  step(`${stamps}/dependencies`, made, existsSync('node_modules/typescript'), () => {
    say('Installing the locked dependencies');
    // Under the pinned Node: npm leaves out optional packages that say they need a newer one.
    npm(node, ['ci']);
  });
}

/** Installs the locked packages of a folder that only one command needs. */
export function toolsOf(folder, node) {
  const lock = readFileSync(`${folder}/package-lock.json`);
  step(`${folder}/node_modules/.stamp`, hash(lock), existsSync(`${folder}/node_modules`), () => {
    say(`Installing the locked packages of ${folder}`);
    npm(node, ['ci', '--prefix', folder]);
  });
}

/** Compiles `src` to `dist`. */
export function build(node) {
  const made = hash(
    readFileSync('tsconfig.json'),
    readFileSync('tsconfig.build.json'),
    readFileSync('scripts/bundle.mjs'),
    ...filesBelow('src').flatMap((path) => [path, readFileSync(path)]),
  );
  step('dist/.stamp', made, existsSync('dist/cli/main.js'), () => {
    say('Building');
    rmSync('dist', { recursive: true, force: true });
    run(node, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
    run(node, ['scripts/bundle.mjs']);
    copyAssets();
    run(node, ['scripts/manual.mjs']);
  });
}

/** Servers and programs that some tests need; those tests skip, saying so, where they are missing. */
export function debianPackages() {
  const wanted = {
    'redis-server': '/usr/bin/redis-server',
    chromium: '/usr/bin/chromium',
    'qemu-user': '/usr/bin/qemu-x86_64',
    'libipt-dev': '/usr/include/intel-pt.h',
    'libc6-i386': '/lib32/libc.so.6',
    'linux-perf': '/usr/bin/perf',
    iproute2: '/usr/bin/ip',
    zsh: '/usr/bin/zsh',
    fish: '/usr/bin/fish',
    mandoc: '/usr/bin/mandoc',
  };
  const missing = Object.keys(wanted).filter((name) => !existsSync(wanted[name]));
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || !existsSync('/usr/bin/apt-get')) {
    say(`Not installed here, so tests that need them will be skipped: ${missing.join(', ')}`);
    return;
  }
  say(`Installing Debian packages for the tests: ${missing.join(', ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...words) =>
    spawnSync('apt-get', ['-qq', ...words], { stdio: ['ignore', 'ignore', 'inherit'], env });
  apt('update');
  const { status } = apt('install', '-y', '--no-install-recommends', ...missing);
  if (status !== 0) say('apt-get failed; tests that need those packages will be skipped');
}

/** Files that the compiler does not carry over. */
function copyAssets() {
  const fonts = 'node_modules/dejavu-fonts-ttf';
  const assets = filesBelow('src')
    .filter((path) => /\.(c|h|css|svg|proto)$/.test(path))
    .map((path) => [path, path.replace(/^src/, 'dist')]);
  for (const name of ['ttf/DejaVuSans.ttf', 'ttf/DejaVuSans-Bold.ttf', 'LICENSE']) {
    assets.push([join(fonts, name), join('dist/report/charts/fonts', basename(name))]);
  }
  for (const [from, to] of assets) {
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, readFileSync(from));
  }
}

function step(stamp, made, isThere, work) {
  if (isThere && existsSync(stamp) && readFileSync(stamp, 'utf8') === made) return;
  work();
  mkdirSync(join(stamp, '..'), { recursive: true });
  writeFileSync(stamp, made);
}

function npm(node, words) {
  // npm gives its own path to the scripts that it runs; without it, use the npm on the PATH.
  const cli = process.env.npm_execpath;
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  if (cli?.endsWith('.js')) run(node, [cli, ...words, ...quiet]);
  else run('npm', [...words, ...quiet]);
}

function run(program, words) {
  const { status, error } = spawnSync(program, words, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: childEnvironment(),
  });
  if (error) fail(`${program} could not be started: ${error.message}`);
  if (status !== 0) fail(`"${[program, ...words].join(' ')}" ended with ${status}.`);
}

/** npm hands its own options to scripts as variables; an outer `--prefix` or `--json` must not reach an inner npm. */
function childEnvironment() {
  const kept = Object.entries(process.env).filter(
    ([key]) => !/^npm_config_(prefix|local_prefix|json|dry_run)$/i.test(key),
  );
  return Object.fromEntries(kept);
}

function filesBelow(folder) {
  const below = readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  return below.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

function hash(...parts) {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part);
  return sum.digest('hex');
}

function say(text) {
  process.stderr.write(`wayward: ${text}\n`);
}

function fail(text) {
  say(text);
  process.exit(3);
}
