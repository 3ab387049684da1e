import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Answer } from './command-server.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const stateBytes = 64;

/** What happens to an operation instead of what should. */
export type Fault = 'kill' | 'short' | 'ENOSPC' | 'EIO' | 'EACCES' | 'EMFILE';

/** A file operation as it was counted. */
export interface Operation {
  readonly number: number;
  /** What it does: see `inject.c`. */
  readonly class: 'look' | 'open' | 'make' | 'read' | 'write' | 'sync' | 'change';
  readonly name: string;
  readonly path: string;
}

/** @returns why faults cannot be injected here; `undefined` when they can */
export function missingForFaults(): string | undefined {
  if (process.platform !== 'linux') return 'faults are injected on Linux only';
  if (spawnSync('cc', ['--version']).status !== 0) return 'there is no C compiler (cc)';
  return undefined;
}

/**
 * Runs Wayward's commands with faults in their file operations; see `inject.c`. Only operations on
 * files below `root` count.
 */
export class Injector {
  readonly #root: string;
  readonly #work: string;
  readonly #state: number;
  readonly #log: string;
  /** Commands write on standard output by its number, so that nothing in their process would see it. */
  readonly #outputPath: string;
  readonly #output: number;
  readonly #env: NodeJS.ProcessEnv;
  #server: { readonly process: ChildProcess; readonly answers: AsyncIterator<string> } | undefined;
  #lines: Interface | undefined;
  /** Whether the fault of the last run came to pass. */
  hasFired = false;

  constructor(root: string) {
    this.#root = root;
    this.#work = mkdtempSync(join(tmpdir(), 'wayward-faults-'));
    const library = join(this.#work, 'inject.so');
    const flags = ['-shared', '-fPIC', '-O2', '-Wall', '-Werror'];
    const compiled = spawnSync('cc', [...flags, '-o', library, here('inject.c'), '-ldl'], {
      encoding: 'utf8',
    });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    const state = join(this.#work, 'state');
    writeFileSync(state, Buffer.alloc(stateBytes));
    this.#state = openSync(state, 'r+');
    this.#log = join(this.#work, 'log');
    this.#outputPath = join(this.#work, 'output');
    this.#output = openSync(this.#outputPath, 'a');
    this.#env = {
      ...process.env,
      LD_PRELOAD: library,
      FAULT_STATE: state,
      FAULT_ROOT: root,
      FAULT_LOG: this.#log,
      TMPDIR: join(root, 'tmp'),
      // Half of what a command takes that is killed in its first second.
      NODE_COMPILE_CACHE: join(this.#work, 'compiled'),
      CI: '1',
    };
  }

  /** Runs a command in the process that is kept for it, with a fault at one operation. */
  async run(words: readonly string[], at = 0, fault: Fault = 'kill'): Promise<Answer> {
    this.#server ??= this.#start();
    this.#arm(at, fault, at === 0);
    const { process: server, answers } = this.#server;
    server.stdin?.write(`${JSON.stringify({ cwd: this.#root, words })}\n`);
    const next = await answers.next();
    const fired = Buffer.alloc(4);
    readSync(this.#state, fired, 0, 4, 20);
    this.hasFired = fired.readUInt32LE(0) === 1;
    this.#arm(0, 'kill', false);
    if (next.done === true) {
      this.#server = undefined;
      return { code: -1, out: '', err: 'the process ended' };
    }
    const { code, err } = JSON.parse(next.value) as Pick<Answer, 'code' | 'err'>;
    return { code, out: this.#takeOutput(), err };
  }

  /** What was written on standard output since it was last asked for. */
  #takeOutput(): string {
    const out = readFileSync(this.#outputPath, 'utf8');
    truncateSync(this.#outputPath);
    return out;
  }

  /** Runs a command in a process of its own, which an operation kills with all of its children. */
  async runAlone(words: readonly string[], killAt = 0): Promise<Answer & { wasKilled: boolean }> {
    this.#arm(killAt, 'kill', killAt === 0);
    const child = spawn(process.execPath, [here('../../src/cli/main.ts'), ...words], {
      cwd: this.#root,
      env: this.#env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      err += bytes;
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return { code: code ?? -1, out, err, wasKilled: signal === 'SIGKILL' };
  }

  /** Operations of the last run, or the one that its fault struck; forgets them. */
  takeOperations(): readonly Operation[] {
    if (!existsSync(this.#log)) return [];
    const operations = readFileSync(this.#log, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line): Operation => {
        const [number, kind, name, ...path] = line.split(' ');
        return {
          number: Number(number),
          class: kind as Operation['class'],
          name: name ?? '',
          path: path.join(' '),
        };
      });
    writeFileSync(this.#log, '');
    return operations;
  }

  async close(): Promise<void> {
    const server = this.#server?.process;
    if (server !== undefined && server.exitCode === null) {
      const ended = once(server, 'exit');
      server.stdin?.end();
      await ended;
    }
    this.#lines?.close();
    closeSync(this.#state);
    closeSync(this.#output);
    rmSync(this.#work, { recursive: true, force: true });
  }

  #start(): { readonly process: ChildProcess; readonly answers: AsyncIterator<string> } {
    const server = spawn(process.execPath, [here('command-server.ts')], {
      env: this.#env,
      stdio: ['pipe', this.#output, 'inherit', 'pipe'],
    });
    this.#lines = createInterface({ input: server.stdio[3] as Readable });
    return { process: server, answers: this.#lines[Symbol.asyncIterator]() };
  }

  #arm(at: number, fault: Fault, isLogged: boolean): void {
    const bytes = Buffer.alloc(stateBytes);
    bytes.writeBigUInt64LE(BigInt(at), 8);
    const kind =
      fault === 'kill' ? 1 : fault === 'short' ? 2 : 3 + (constants.errno[fault] as number);
    bytes.writeUInt32LE(kind, 16);
    bytes.writeUInt32LE(isLogged ? 1 : 0, 24);
    writeSync(this.#state, bytes, 0, stateBytes, 0);
  }
}
