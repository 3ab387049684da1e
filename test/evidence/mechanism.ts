import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { buildPlugin } from '../../src/capture/qemu/plugin/build.ts';
import { record } from '../../src/capture/record.ts';
import { ImageCodeCache, ProcessCode } from '../../src/evidence/code/process-code.ts';
import { EvidenceCollector } from '../../src/evidence/collector.ts';
import type { Evidence } from '../../src/evidence/evidence.ts';
import type { TransferProfile } from '../../src/evidence/profile.ts';
import { evidenceRules } from '../../src/evidence/rules.ts';
import { CodeCache } from '../../src/flow/code-cache.ts';
import { ImageStore } from '../../src/image/image-store.ts';
import { openTraces } from '../../src/trace/open-trace.ts';
import { readSample } from '../../src/trace/sample.ts';

const run = promisify(execFile);
const programs = fileURLToPath(new URL('./programs', import.meta.url));

/** Harmless, with an overwritten return address, with a corrupted function pointer. */
export const variants = ['harmless', 'return', 'pointer'] as const;
export type Variant = (typeof variants)[number];

/** How a program is compiled, without its output. */
export interface Build {
  readonly name: string;
  readonly compiler: 'gcc' | 'g++' | 'go' | 'ocamlopt';
  readonly sources: readonly string[];
  readonly flags?: readonly string[];
  readonly bits: 32 | 64;
  /** Symbol in which a strike arrives; `strike_behind` unless given. */
  readonly target?: string;
  /** What a corrupted pointer proves; an indirect call into the middle of a function unless given. */
  readonly pointer?: Evidence['kind'] | undefined;
}

/** A proof: kind, and the symbol of the program into which the transfer went. */
export interface Proof {
  readonly kind: Evidence['kind'];
  readonly actual: string;
}

/** @returns whether programs of this kind can be built and recorded on this machine */
export function canBuild({ compiler, bits }: Build): boolean {
  const emulator = bits === 64 ? 'qemu-x86_64' : 'qemu-i386';
  if (!existsSync(`/usr/bin/${emulator}`) || !existsSync('/usr/bin/cc')) return false;
  if (!existsSync(`/usr/bin/${compiler}`)) return false;
  if (bits === 64) return true;
  // Debian: package gcc-multilib, g++-multilib.
  return existsSync('/usr/lib32/libc.so.6') && existsSync('/usr/lib32/libstdc++.so.6');
}

/** Compiles, strips, records and judges one program. */
export class Mechanism {
  readonly #folder: string;
  readonly #build: Build;
  readonly #plugin: string;
  readonly #images: ImageStore;
  readonly #code = new CodeCache();
  readonly #codeImages = new ImageCodeCache();
  #symbols: readonly { readonly at: number; readonly size: number; readonly name: string }[] = [];

  private constructor(folder: string, build: Build, plugin: string) {
    this.#folder = folder;
    this.#build = build;
    this.#plugin = plugin;
    this.#images = new ImageStore([join(folder, 'bin')]);
  }

  /** @param parent  existing folder; `plugin.so` in it is the recorder's */
  static async build(parent: string, build: Build): Promise<Mechanism> {
    const plugin = join(parent, 'plugin.so');
    if (!existsSync(plugin)) await buildPlugin(parent);
    const folder = join(parent, `${build.name}-${build.bits}`);
    await mkdir(folder, { recursive: true });
    const mechanism = new Mechanism(folder, build, plugin);
    await mechanism.#compile();
    return mechanism;
  }

  get #program(): string {
    return join(this.#folder, 'program');
  }

  async #compile(): Promise<void> {
    const { compiler, sources, flags = [], bits } = this.#build;
    const whole = join(this.#folder, 'whole');
    const files = sources.map((source) => join(programs, source));
    if (compiler === 'go') {
      const source = join(this.#folder, 'source');
      await mkdir(source, { recursive: true });
      for (const name of sources) await copyFile(join(programs, name), join(source, name));
      const env = { ...process.env, GO111MODULE: 'off', GOCACHE: join(this.#folder, 'cache') };
      await run('go', ['build', '-o', whole, ...flags], { cwd: source, env });
    } else if (compiler === 'ocamlopt') {
      const source = join(this.#folder, 'source');
      await mkdir(source, { recursive: true });
      for (const name of [...sources, 'strike.h']) {
        await copyFile(join(programs, name), join(source, name));
      }
      await run('ocamlopt', ['-o', whole, ...flags, ...sources], { cwd: source });
    } else
      await run(compiler, [`-m${bits}`, '-O1', ...flags, '-o', whole, ...files, '-pthread', '-lm']);
    const { stdout } = await run('nm', ['-S', '--defined-only', whole], { maxBuffer: 1 << 26 });
    this.#symbols = stdout
      .split('\n')
      .map((line) => /^([0-9a-f]+) (?:([0-9a-f]+) )?[tTwWi] (\S+)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, at, size, name]) => ({
        at: Number.parseInt(at, 16),
        size: size === undefined ? 1 : Number.parseInt(size, 16),
        name,
      }));
    await copyFile(whole, this.#program);
    await run('strip', [this.#program]);
  }

  /** Records a run. @returns the folder of its sample */
  async record(variant: Variant, name: string = variant): Promise<string> {
    const out = join(this.#folder, 'traces', name);
    await record({
      command: this.#program,
      args: [variant],
      out,
      label: 'benign',
      name: variant,
      binDir: join(this.#folder, 'bin'),
      plugin: this.#plugin,
      timeoutSeconds: 60,
    });
    return out;
  }

  /**
   * @returns a sample like another, in which the processor lost what lies between two shares of each
   *   trace: an overflow packet stands there, and the next PSB follows
   */
  async cut(sample: string, from: number, to: number): Promise<string> {
    const out = `${sample}-${from}-${to}`;
    await mkdir(out);
    for (const name of await readdir(sample)) {
      const bytes = await readFile(join(sample, name));
      if (!/^trace_\d+\.gz$/.test(name)) {
        await writeFile(join(out, name), bytes);
        continue;
      }
      const whole = gunzipSync(bytes);
      const synchronizing = Buffer.from('0282'.repeat(8), 'hex');
      const placeOf = (share: number): number => {
        const found = whole.indexOf(synchronizing, Math.floor(share * whole.length));
        return found < 0 ? whole.length : found;
      };
      const start = from === 0 ? 0 : placeOf(from);
      const overflow = start === 0 ? [] : [Buffer.from('02f3', 'hex')];
      const rest = [whole.subarray(0, start), ...overflow, whole.subarray(placeOf(to))];
      await writeFile(join(out, name), gzipSync(Buffer.concat(rest)));
    }
    return out;
  }

  /** @param profile  of training; none = nothing was learned before */
  async judge(
    sample: string,
    profile?: TransferProfile,
    train?: TransferProfile,
  ): Promise<readonly Proof[]> {
    const proofs: Proof[] = [];
    const context = { images: this.#images, codeCache: this.#code, preprocessed: false };
    const traces = await openTraces(await readSample(sample), context);
    for (const { source, space } of traces) {
      const collector = new EvidenceCollector(
        { blocks: source.blocks, marks: source.marks },
        {
          ...(space === undefined
            ? {}
            : {
                space,
                code: new ProcessCode(space, this.#codeImages),
              }),
          ...(profile === undefined ? {} : { profile }),
          isAlone: traces.length === 1,
        },
      );
      await source.run((batch) => collector.push(batch));
      train?.add(collector.indirectTransfers);
      for (const { kind, actual } of collector.evidence) {
        if (evidenceRules[kind].strength !== 'proof') continue;
        const { modules } = source.blocks;
        const program = modules.find((module) => module.name === 'program');
        proofs.push({
          kind,
          actual: this.#nameOf((actual ?? 0) - this.#baseOf(program?.base ?? 0)),
        });
      }
    }
    return proofs;
  }

  /** A program that stays where it was linked (ET_EXEC) is mapped there. */
  #baseOf(base: number): number {
    return readFileSync(this.#program)[16] === 2 ? 0 : base;
  }

  #nameOf(offset: number): string {
    const symbol = this.#symbols.find(({ at, size }) => offset >= at && offset < at + size);
    return symbol?.name ?? offset.toString(16);
  }

  dispose(): void {
    this.#code.dispose();
  }
}
