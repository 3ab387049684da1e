// The one door to the project's own commands: `node scripts/run.mjs NAME [ARGUMENTS]`.
// It runs under any Node from 18 on, sets up what NAME needs (once), and then runs NAME under the
// pinned Node.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build, debianPackages, dependencies, pinnedNode, toolsOf } from './setup.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => `node_modules/.bin/${name}`;
const sources = ['src', 'bin', 'test', 'bench', 'scripts', 'examples'];

const checks = [
  [bin('tsc'), '-p', 'tsconfig.json'],
  [bin('biome'), 'check', '--diagnostic-level=error', ...sources],
];
/** Tests that compile and record programs, start servers and browsers, or take much time. */
const slow = [
  'src/capture/corpus.test.ts',
  'src/capture/perf/import.test.ts',
  'src/capture/qemu/backends.test.ts',
  'src/capture/record.test.ts',
  'src/commands/guard.test.ts',
  'src/commands/guard/follow.test.ts',
  'src/commands/guard/live/live-run.test.ts',
  'src/commands/judge-queue.test.ts',
  'src/commands/run/shared-model.test.ts',
  'src/commands/tasks/queue.test.ts',
  'src/commands/watch.test.ts',
  'src/evidence/code/jump-tables.test.ts',
  'src/evidence/code/pe-code.test.ts',
  'src/evidence/code/virtual-calls.test.ts',
  'src/evidence/recordings.test.ts',
  'src/likeness/store/redis-store.test.ts',
  'src/model/lstm/lstm.test.ts',
  'src/names/place-names.test.ts',
  'src/report/page/html-report.test.ts',
  'src/workers/queue-scheduler.test.ts',
  'test/after-update.test.ts',
  'test/everyday.test.ts',
  'test/evidence-windows.test.ts',
  'test/evidence/mechanisms.test.ts',
  'test/faults.test.ts',
  'test/json-documents.test.ts',
  'test/main-job.test.ts',
  'test/output.test.ts',
];
/** Beside those files: tests inside others that carry the tag. */
const notSlow = ['--tagsFilter=!slow', ...slow.map((path) => `--exclude=${path}`)];

/** A warning, as of a type that is not public, ends it as an error does. */
const apiDocs = ['scripts/docs/node_modules/typedoc/bin/typedoc', '--options', 'scripts/docs'];

/** What each name needs beyond the dependencies, and the commands that it runs, in order. */
const tasks = {
  demo: { build: true, run: [['bin/wayward.cjs', 'demo']] },
  wayward: { build: true, run: [['bin/wayward.cjs']] },
  build: { build: true, run: [] },
  release: { run: [['scripts/release.mjs']] },
  licences: { run: [['scripts/licences.mjs']] },
  pictures: { build: true, debian: true, run: [['scripts/pictures.mjs']] },
  manual: { build: true, run: [['scripts/manual.mjs', '--schema']] },
  test: { build: true, run: [...checks, [bin('vitest'), 'run', ...notSlow]] },
  'test:all': {
    build: true,
    debian: true,
    needs: 'scripts/docs',
    run: [...checks, [bin('vitest'), 'run'], apiDocs, ['scripts/package/check.mjs']],
  },
  'test:package': { build: true, run: [['scripts/package/check.mjs']] },
  coverage: { build: true, debian: true, run: [[bin('vitest'), 'run', '--coverage']] },
  check: {
    run: [
      [bin('tsc'), '-p', 'tsconfig.json'],
      [bin('biome'), 'check', ...sources],
    ],
  },
  format: { run: [[bin('biome'), 'check', '--write', ...sources]] },
  fuzz: { run: [['bench/fuzz.ts'], ['bench/fuzz-parsers.ts', '100000']] },
  'fuzz:libipt': { debian: true, run: [['bench/fuzz-libipt.ts']] },
  faults: { debian: true, run: [['bench/faults.ts']] },
  examples: { run: [['examples/make.ts']] },
  docs: { needs: 'scripts/docs', run: [apiDocs] },
  bench: { build: true, debian: true, run: [['bench/all.ts']] },
  'bench:field': { build: true, run: [['bench/field/field.bench.ts']] },
  'bench:learner': { run: [['bench/learner.bench.ts']] },
  'bench:gpu': { run: [['bench/gpu.bench.ts']] },
  'bench:code': { run: [['bench/code.bench.ts']] },
  'bench:cluster': { run: [['bench/cluster.bench.ts']] },
  'bench:models': { run: [['bench/models.bench.ts']] },
  'bench:queue': { debian: true, run: [['bench/queue.bench.ts']] },
};

const [name, ...rest] = process.argv.slice(2);
const task = tasks[name];
if (task === undefined) {
  console.error(`There is no "${name ?? ''}" here. Names: ${Object.keys(tasks).join(', ')}.`);
  process.exit(1);
}

// Here ONNX Runtime is at hand, which those who install the package have to ask for.
if (name === 'demo' && !rest.some((word) => word.startsWith('--model'))) {
  rest.unshift('--model', 'ngram,lstm');
}

// Who names files wants all of their tests, and now.
if (name === 'test' && rest.some((word) => !word.startsWith('-'))) {
  task.run = [[bin('vitest'), 'run']];
}

process.chdir(root);
const node = pinnedNode();
dependencies(node);
if (task.debian) debianPackages();
if (task.needs) toolsOf(task.needs, node);
if (task.build) build(node);
for (const [index, command] of task.run.entries()) {
  const isLast = index === task.run.length - 1;
  const script = isLast ? [...command, ...rest] : command;
  const { status, signal } = spawnSync(node, script, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 3));
}
