import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { unseal } from '../../src/base/files/sealed.ts';
import type { Answer } from './command-server.ts';
import { type Fault, Injector, type Operation } from './injector.ts';
import type { Scenario } from './scenarios.ts';
import { atEachSite, type Point } from './sites.ts';

/** What can go wrong with an operation of a kind. */
const faultsOf: Readonly<Record<Operation['class'], readonly Fault[]>> = {
  look: ['EIO', 'EACCES'],
  open: ['EACCES', 'EMFILE', 'EIO'],
  make: ['ENOSPC', 'EACCES', 'EMFILE'],
  read: ['EIO', 'short'],
  write: ['ENOSPC', 'EIO', 'short'],
  sync: ['EIO', 'ENOSPC'],
  change: ['EIO', 'EACCES'],
};

/** What differs from run to run; it must be whole all the same. */
const volatile =
  /(?:^|\/)(?:run\.json|metrics\.ndjson|events\.ndjson|[\w.-]+\.html|recording\.json|profile\.wayward)$/;
/** What a kill may leave, for the next run to take away or to pass over. */
const leftOver = /\.part(?:\/|$)|\.lock$|\/lock$|(?:^|\/)tmp\/|(?:^|\/)windows\/|training\.bin$/;

export interface Sweep {
  readonly scenario: string;
  /** File operations of one run. */
  readonly operations: number;
  /** What was tried, of all operations with each of their faults and of all kills. */
  readonly tried: number;
  readonly points: number;
  /** Runs with a fault that came to pass, by what became of them. */
  readonly refused: number;
  readonly endured: number;
  readonly kills: number;
  /** Rules that were broken, a sentence each. */
  readonly findings: readonly string[];
}

export interface SweepOptions {
  /** Of all points, those whose number divided by `every` leaves `offset`. */
  readonly every: number;
  readonly offset: number;
  /** Only the first and the last operation of each site, before `every` chooses: see `sites.ts`. */
  readonly sites?: boolean;
  readonly kills: boolean;
  readonly faults: boolean;
  readonly onPoint?: (done: number, total: number, findings: number) => void;
  /** Told as it is found. */
  readonly onFinding?: (finding: string) => void;
}

/**
 * Runs a command once for each of its file operations with that operation failing, in each way in which
 * it can, and once with everything killed there.
 */
export async function sweep(scenario: Scenario, options: SweepOptions): Promise<Sweep> {
  const root = join(realpathSync(mkdtempSync(join(tmpdir(), 'wayward-sweep-'))), 'work');
  const base = `${root}-base`;
  mkdirSync(join(root, 'tmp'), { recursive: true });
  const injector = new Injector(root);
  const findings: string[] = [];
  const counts = { refused: 0, endured: 0, kills: 0, operations: 0, tried: 0, points: 0 };
  try {
    await scenario.setup(root, async (...words) => {
      const { code, err } = await injector.run(words);
      if (code !== 0) throw new Error(`${words.join(' ')}: ${err}`);
    });
    cpSync(root, base, { recursive: true });
    const reset = (): void => {
      for (const name of readdirSync(root)) rmSync(join(root, name), { recursive: true });
      cpSync(base, root, { recursive: true });
    };
    const before = snapshot(root);
    // The first run in a process reads what later ones remember.
    for (let round = 0; round < 2; round++) {
      reset();
      injector.takeOperations();
      const { code, err } = await injector.run(scenario.words);
      if (code !== 0) throw new Error(`${scenario.name}: ${err}`);
    }
    const operations = injector.takeOperations();
    counts.operations = operations.length;
    const whole = new State(root, before);
    const points: Point[] = [];
    if (options.faults) {
      for (const operation of operations) {
        for (const fault of faultsOf[operation.class]) points.push([operation, fault]);
      }
    }
    if (options.kills) {
      reset();
      await injector.runAlone(scenario.words);
      // Between two changes, nothing on the disk tells one moment from another.
      for (const operation of injector.takeOperations()) {
        if (['make', 'write', 'sync', 'change'].includes(operation.class)) {
          points.push([operation, 'kill']);
        }
      }
    }
    const sites = options.sites === true ? atEachSite(points) : points;
    const chosen = sites.filter((_, i) => i % options.every === options.offset);
    counts.tried = chosen.length;
    counts.points = points.length;
    for (const [done, [{ number }, fault]] of chosen.entries()) {
      options.onPoint?.(done, chosen.length, findings.length);
      let hasLeftOut = false;
      let isDone = false;
      let where = `${scenario.name}: ${fault} at ${number}`;
      const broken = (why: string): void => {
        findings.push(`${where}: ${why}`);
        options.onFinding?.(`${where}: ${why}`);
      };
      reset();
      injector.takeOperations();
      if (fault === 'kill') {
        const { wasKilled } = await injector.runAlone(scenario.words, number);
        // How threads take turns may leave fewer operations.
        if (!wasKilled) continue;
        counts.kills++;
      } else {
        const answer = await injector.run(scenario.words, number, fault);
        if (!injector.hasFired) continue;
        // What works at the same time takes turns: the operation may be another than before.
        const [operation] = injector.takeOperations();
        if (operation === undefined) continue;
        where += `, ${operation.name} ${operation.path.replace(root, '.')}`;
        const problem = problemOf(answer, fault, operation, root);
        if (problem !== undefined) broken(problem);
        isDone = answer.code === 0;
        if (isDone) counts.endured++;
        else counts.refused++;
        // A fault that was got over without a word must not change the result.
        const isTold = names(answer.err + answer.out, operation, root);
        if (answer.code === 0 && isTold) hasLeftOut = true;
        else if (answer.code === 0) {
          for (const why of whole.differences(root)) broken(`silently ${why}`);
        }
      }
      // What was made without a sample that could not be read is whole, but another.
      if (!hasLeftOut) for (const why of whole.damages(root)) broken(why);
      if (isDone && scenario.isOnce === true) continue;
      const again = await injector.run(scenario.words);
      if (again.code !== 0) {
        const [first = ''] = again.err.split('\n').filter((line) => line.startsWith('wayward'));
        const exists = scenario.isOnce === true && /exists already/.test(again.err + again.out);
        // What is there already was made whole: nothing is left to do.
        if (!exists) broken(`the repeated command ends in ${again.code}: ${first}`);
      } else for (const why of whole.differences(root)) broken(`when repeated, ${why}`);
    }
  } finally {
    await injector.close();
    rmSync(dirname(root), { recursive: true, force: true });
  }
  return { scenario: scenario.name, ...counts, findings };
}

/** What is wrong with how a command told of a fault. */
function problemOf(
  { code, err }: Answer,
  fault: Fault,
  operation: Operation,
  root: string,
): string | undefined {
  if (/mistake in Wayward|unhandled:|^\s+at /m.test(err)) return `ends in a stack trace: ${err}`;
  if (code === -1) return 'the process ended';
  if (code !== 0 && fault === 'short') return `half a transfer is an error: ${err}`;
  if (code !== 0 && !names(err, operation, root)) return `the file is not named: ${err}`;
  return undefined;
}

/** Whether a text names the file of an operation, or one that it is part of. */
function names(text: string, { path }: Operation, root: string): boolean {
  const below = path.replace(`${root}/`, '');
  const parts = below.replace(/\.[\w-]+-\d+-[0-9a-f]{8}\.part$|\.part(?=\/|$)/, '').split('/');
  // Of a temporary file, the folder is enough, since nobody chose its name; or what it is a part of.
  if (parts[0] === 'tmp') {
    const part = parts.slice(2).join('/');
    return text.includes(join(root, 'tmp')) || (part !== '' && text.includes(`its part ${part}`));
  }
  return parts.some((_, i) => {
    const some = parts.slice(0, i + 1).join('/');
    return (text.includes(some) || text.includes(basename(some))) && some.length > 2;
  });
}

/** Files below a folder with hashes; runs that were made since go by the name `runs/NEW`. */
function snapshot(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (below: string): void => {
    for (const name of readdirSync(join(root, below))) {
      const path = join(below, name);
      if (statSync(join(root, path)).isDirectory()) walk(path);
      else
        found.set(
          path,
          createHash('sha256')
            .update(readFileSync(join(root, path)))
            .digest('hex'),
        );
    }
  };
  walk('');
  return found;
}

const generic = (path: string): string => path.replace(/^runs\/[^/]+/, 'runs/NEW');

/** What a run without a fault leaves. */
class State {
  readonly #before: ReadonlyMap<string, string>;
  readonly #after = new Map<string, string>();

  constructor(root: string, before: ReadonlyMap<string, string>) {
    this.#before = before;
    for (const [path, hash] of snapshot(root)) {
      if (!leftOver.test(path)) this.#after.set(generic(path), hash);
    }
  }

  /** Files that are neither as they were before nor as they should become. */
  damages(root: string): readonly string[] {
    const now = snapshot(root);
    const problems: string[] = [];
    for (const [path, hash] of now) {
      if (leftOver.test(path) || hash === this.#before.get(path)) continue;
      if (hash === this.#after.get(generic(path))) continue;
      const isNew = !this.#before.has(path) && !this.#after.has(generic(path));
      if (volatile.test(path)) {
        if (!isWhole(join(root, path))) problems.push(`${path} is half written`);
      } else problems.push(isNew ? `${path} is left behind` : `${path} is neither old nor new`);
    }
    for (const path of this.#before.keys()) {
      if (!now.has(path) && this.#after.has(path)) problems.push(`${path} is gone`);
    }
    return problems;
  }

  /** What the last run in a folder did not leave as it should. */
  differences(root: string): readonly string[] {
    const runs = existsSync(join(root, 'runs')) ? readdirSync(join(root, 'runs')) : [];
    const newest = runs
      .map((name) => ({ name, time: statSync(join(root, 'runs', name)).ctimeMs }))
      .sort((a, b) => b.time - a.time)[0]?.name;
    const now = snapshot(root);
    const problems: string[] = [];
    for (const [path, hash] of this.#after) {
      const found = now.get(path.replace('runs/NEW', `runs/${newest}`));
      if (found === undefined) problems.push(`${path} is not there`);
      else if (found !== hash && !volatile.test(path)) problems.push(`${path} is another`);
    }
    return problems;
  }
}

/** Whether a file that differs from run to run has its end. */
function isWhole(path: string): boolean {
  if (path.endsWith('.wayward')) return isSealed(readFileSync(path), path);
  const text = readFileSync(path, 'utf8');
  if (path.endsWith('.html')) return text.trimEnd().endsWith('</html>');
  if (path.endsWith('.ndjson')) return text === '' || text.endsWith('}\n');
  return text.endsWith('}\n');
}

function isSealed(bytes: Buffer, path: string): boolean {
  try {
    unseal(bytes, path);
    return true;
  } catch {
    return false;
  }
}
