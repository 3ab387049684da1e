import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { BlockReader, emptyShape } from '../../src/x86/block-reader.ts';
import { Transfer } from '../../src/x86/transfer.ts';
import { run } from '../compiled.ts';
import { type Execution, PtProcessor } from '../pt-machine.ts';

const prefix = 'x86_64-w64-mingw32-';
/** Names of the images, in the order of their needs. */
const names = ['ntdll.dll', 'kernel32.dll', 'user32.dll', 'app.exe'] as const;
type Name = (typeof names)[number];

/** A PE image as it lies in the process. */
interface Loaded {
  readonly name: Name;
  readonly base: number;
  /** Addresses in the process, by symbol. */
  readonly symbols: ReadonlyMap<string, number>;
  /** The image as the loader lays it out. */
  readonly bytes: Uint8Array;
  /** Slots of the import table, by address: library and name. */
  readonly imports: ReadonlyMap<number, string>;
}

/**
 * Builds the images of this folder with mingw-w64: into `bin` as Windows has its own, without
 * symbols.
 */
export function buildImages(work: string, bin: string): Loaded[] {
  mkdirSync(bin, { recursive: true });
  return names.map((name, index) => {
    const stem = name.slice(0, -4);
    const object = join(work, `${stem}.o`);
    const out = join(work, name);
    const here = import.meta.dirname;
    run(`${prefix}gcc`, '-c', `-I${here}`, '-o', object, join(here, `${stem}.s`));
    const before = names.slice(0, index).map((other) => `-l${other.slice(0, -4)}`);
    const libraries = [`-L${work}`, ...before.reverse()];
    const shape = name.endsWith('.dll')
      ? [
          '-shared',
          '-Wl,-e,0',
          `-Wl,--out-implib,${join(work, `lib${stem}.a`)}`,
          join(here, `${stem}.def`),
        ]
      : ['-Wl,-e,start'];
    run(`${prefix}gcc`, '-nostdlib', ...shape, '-o', out, object, ...libraries);
    copyFileSync(out, join(bin, name));
    run(`${prefix}strip`, join(bin, name));
    return load(name, out, 0x7ff0_0000_0000 + index * 0x100_0000);
  });
}

function load(name: Name, path: string, base: number): Loaded {
  const file = readFileSync(path);
  const header = file.readUInt32LE(60);
  const optional = header + 24;
  const preferred = Number(file.readBigUInt64LE(optional + 24));
  const bytes = new Uint8Array(file.readUInt32LE(optional + 56));
  bytes.set(file.subarray(0, file.readUInt32LE(optional + 60)));
  const table = optional + file.readUInt16LE(header + 20);
  for (let i = 0; i < file.readUInt16LE(header + 6); i++) {
    const at = table + 40 * i;
    const raw = file.readUInt32LE(at + 20);
    bytes.set(file.subarray(raw, raw + file.readUInt32LE(at + 16)), file.readUInt32LE(at + 12));
  }
  const image = Buffer.from(bytes.buffer);
  const text = (at: number): string => image.toString('latin1', at, image.indexOf(0, at));
  const imports = new Map<number, string>();
  // Import descriptors: names at 0, the library's name at 12, the table that is filled at 16.
  for (let at = image.readUInt32LE(optional + 120); at !== 0; at += 20) {
    const first = image.readUInt32LE(at + 16);
    if (first === 0) break;
    for (let slot = first; ; slot += 8) {
      const hint = Number(image.readBigUInt64LE(slot));
      if (hint === 0) break;
      imports.set(base + slot, text(hint + 2));
    }
  }
  const symbols = new Map<string, number>();
  for (const [, value, symbol] of run(`${prefix}nm`, path).matchAll(/^(\w+) \w (\S+)$/gm)) {
    symbols.set(symbol, Number(BigInt(`0x${value}`)) - preferred + base);
  }
  return { name, base, symbols, bytes, imports };
}

/** A thread's stack of return addresses, which the kernel sets aside and takes up again. */
interface Context {
  readonly resume: number;
  readonly stack: readonly number[];
}

/**
 * Walks through the code of the images as a thread would: along direct transfers and imports by
 * itself, at other indirect ones to the targets it is told, at conditional branches straight on.
 * What the kernel does is said step by step.
 */
export class PeFlow {
  readonly #images: readonly Loaded[];
  readonly #stack: number[] = [];
  readonly #aims: number[] = [];
  /** Addresses of conditional branches that are taken next time. */
  readonly #taken: number[] = [];
  readonly #slices: Execution[] = [];
  readonly #overwritten = new Map<number, number>();
  #kept: number | undefined;
  readonly #contexts: Context[] = [];
  #blocks: { start: number; last: number; end: number; kind: number }[] = [];
  #at: number;
  /** Blocks so far: the index of the next one. */
  length = 0;

  constructor(images: readonly Loaded[], start: string) {
    this.#images = images;
    this.#at = this.address(start);
  }

  /** @param place  `SYMBOL`, with `IMAGE!` before it where several images have it */
  address(place: string): number {
    const [image, symbol] = place.includes('!') ? place.split('!') : [undefined, place];
    for (const { name, symbols } of this.#images) {
      if (image !== undefined && !name.startsWith(image)) continue;
      const found = symbols.get(symbol ?? '');
      if (found !== undefined) return found;
    }
    throw new Error(`no symbol ${place}`);
  }

  /** Targets of the next indirect transfers that are no imports. */
  aim(...places: string[]): this {
    this.#aims.push(...places.map((place) => this.address(place)));
    return this;
  }

  /** A conditional branch that is taken next time. */
  take(place: string): this {
    this.#taken.push(this.address(place));
    return this;
  }

  /** Frames that are left after the next far transfer, which restores a context. */
  keep(frames: number): this {
    this.#kept = frames;
    return this;
  }

  /** Goes on to the next system call, which is executed, or to `until`, which is not. */
  walk(until?: string): this {
    const end = until === undefined ? Number.NaN : this.address(until);
    for (let steps = 0; this.#at !== end; steps++) {
      if (steps > 10_000) throw new Error('walks in circles');
      if (this.#step(end) === Transfer.syscall) return this;
    }
    return this;
  }

  /** Overwrites the return address of the `depth`-th frame, 0 being the innermost. */
  corruptReturn(depth: number, ...places: string[]): this {
    const at = this.#stack.length - 1 - depth;
    this.#stack.splice(at, 1, ...places.map((place) => this.address(place)).reverse());
    return this;
  }

  /** Puts another address into a slot of an import table. */
  overwriteImport(slot: string, place: string): this {
    this.#overwritten.set(this.address(slot), this.address(place));
    return this;
  }

  /** The kernel starts user code elsewhere, on the same stack, and remembers what it interrupted. */
  enter(place: string): this {
    this.#leave();
    this.#contexts.push({ resume: this.#at, stack: [...this.#stack] });
    this.#at = this.address(place);
    return this;
  }

  /** The kernel goes back to what it interrupted last; the frames since then are gone. */
  resume(): this {
    this.#leave();
    const context = this.#contexts.pop();
    if (context === undefined) throw new Error('nothing was interrupted');
    this.#stack.splice(0, this.#stack.length, ...context.stack);
    this.#at = context.resume;
    return this;
  }

  /** Writes the sample: its trace, map and label. */
  write(folder: string, compressReturns: boolean): void {
    this.#leave();
    const processor = new PtProcessor(1000, 'none', compressReturns);
    // Each slice ends with a block that is not executed: where it was left.
    for (const slice of this.#slices) processor.run(slice, 0, slice.start.length - 1);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'trace_0.gz'), gzipSync(processor.finish()));
    writeFileSync(join(folder, 'info.txt'), 'app\nbenign\n');
    const rows = this.#images.map(({ name, base }) => {
      const path = name === 'app.exe' ? `\\app\\${name}` : `\\Windows\\System32\\${name}`;
      return `4 app.exe 0x${base.toString(16).padStart(16, '0')} True True True ${path}`;
    });
    const head = 'Pid Process Base InLoad InInit InMem MappedPath';
    writeFileSync(join(folder, 'mapping.txt'), `${[head, ...rows].join('\n')}\n`);
  }

  #leave(): void {
    if (this.#blocks.length === 0) return;
    this.#blocks.push({ start: this.#at, last: this.#at, end: this.#at, kind: Transfer.none });
    this.#slices.push({
      start: Float64Array.from(this.#blocks, ({ start }) => start),
      last: Float64Array.from(this.#blocks, ({ last }) => last),
      end: Float64Array.from(this.#blocks, ({ end }) => end),
      kind: Uint8Array.from(this.#blocks, ({ kind }) => kind),
    });
    this.#blocks = [];
  }

  #step(until: number): number {
    const image = this.#images.find(
      ({ base, bytes }) => this.#at >= base && this.#at < base + bytes.length,
    );
    if (image === undefined) throw new Error(`no code at 0x${this.#at.toString(16)}`);
    const reader = new BlockReader(image.bytes, 64);
    const shape = emptyShape();
    reader.read(this.#at - image.base, shape);
    reader.dispose();
    const start = this.#at;
    const end = start + shape.size;
    const last = start + shape.lastInstruction;
    const { kind } = shape;
    if (until > start && until < end) {
      this.#blocks.push({ start, last: until, end: until, kind: Transfer.none });
      this.length++;
      this.#at = until;
      return Transfer.none;
    }
    this.#blocks.push({ start, last, end, kind });
    this.length++;
    if (kind === Transfer.call || kind === Transfer.icall) this.#stack.push(end);
    this.#at = end;
    if (kind === Transfer.jmp || kind === Transfer.call) this.#at = start + shape.target;
    if (kind === Transfer.icall || kind === Transfer.ijmp)
      this.#at = this.#indirect(image, last, end);
    const isTaken = this.#taken.indexOf(last);
    if (kind === Transfer.jcc && isTaken >= 0) {
      this.#taken.splice(isTaken, 1);
      this.#at = start + shape.target;
    }
    if (kind === Transfer.far) {
      this.#at = this.#nextAim(last);
      this.#stack.length = this.#kept ?? this.#stack.length;
    }
    if (kind === Transfer.ret) {
      const to = this.#stack.pop();
      if (to === undefined) throw new Error('returns from the first function');
      this.#at = to;
    }
    if (kind === Transfer.none) throw new Error(`no block at 0x${start.toString(16)}`);
    return kind;
  }

  #indirect(image: Loaded, last: number, end: number): number {
    const view = Buffer.from(image.bytes.buffer);
    // FF 15 and FF 25: through a pointer beside the code.
    const isSlot =
      view[last - image.base] === 0xff && (view[last - image.base + 1] & 0xc7) === 0x05;
    if (!isSlot) return this.#nextAim(last);
    const slot = end + view.readInt32LE(last - image.base + 2);
    const overwritten = this.#overwritten.get(slot);
    if (overwritten !== undefined) return overwritten;
    const imported = image.imports.get(slot);
    if (imported !== undefined) return this.address(imported);
    if (slot === image.symbols.get('guard_dispatch'))
      return this.address('LdrpDispatchUserCallTarget');
    if (slot === image.symbols.get('guard_check'))
      return this.address('LdrpValidateUserCallTarget');
    return this.#nextAim(last);
  }

  #nextAim(at: number): number {
    const aim = this.#aims.shift();
    if (aim === undefined) throw new Error(`no aim for the transfer at 0x${at.toString(16)}`);
    return aim;
  }
}
