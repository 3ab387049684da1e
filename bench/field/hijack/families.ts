import type { Random } from '../../../src/base/random.ts';
import { between, pick, times } from '../program.ts';
import { instructionsIn, type PointerSlot, type Scene } from './scene.ts';

export interface Write {
  readonly address: number;
  readonly value: bigint | number;
}

/** A hijack: what is written, and where control flow goes for it. */
export interface Attack {
  readonly writes: readonly Write[];
  /** Targets of the hijacked transfers in order; empty for an attack on data. */
  readonly chain: readonly number[];
  readonly note: string;
}

/** Makes one attack of a kind, or `undefined` where this moment of the program does not allow it. */
type Family = (scene: Scene, random: Random) => Attack | undefined;

/** Registers that a call may change, with `pop REGISTER; ret`; none carries a result. */
const pops: readonly (readonly [string, readonly number[]])[] = [
  ['rdi', [0x5f, 0xc3]],
  ['rsi', [0x5e, 0xc3]],
  ['rcx', [0x59, 0xc3]],
  ['r8', [0x41, 0x58, 0xc3]],
  ['r10', [0x41, 0x5a, 0xc3]],
];
/** `mov [A], B; ret` for such registers. */
const stores: readonly (readonly [string, string, readonly number[]])[] = [
  ['rdi', 'rsi', [0x48, 0x89, 0x37, 0xc3]],
  ['rdi', 'rcx', [0x48, 0x89, 0x0f, 0xc3]],
  ['rsi', 'rdi', [0x48, 0x89, 0x3e, 0xc3]],
  ['rcx', 'rsi', [0x48, 0x89, 0x31, 0xc3]],
  ['rsi', 'rcx', [0x48, 0x89, 0x0e, 0xc3]],
];
const popStackPointer = [0x5c, 0xc3];
const bareReturn = [0xc3];
const farReturn = [0x48, 0xcb];

function gadget(scene: Scene, random: Random, bytes: readonly number[]): number | undefined {
  const found = scene.memory.find(bytes);
  return found.length === 0 ? undefined : pick(random, found);
}

/** Words of a chain and the targets that they make; `set` puts a value into a register. */
class Chain {
  readonly words: (number | bigint)[] = [];
  readonly targets: number[] = [];
  readonly #scene: Scene;
  readonly #random: Random;

  constructor(scene: Scene, random: Random) {
    this.#scene = scene;
    this.#random = random;
  }

  go(target: number): void {
    this.words.push(target);
    this.targets.push(target);
  }

  /** @returns whether there is a gadget for it */
  set(register: string, value: number | bigint): boolean {
    const bytes = pops.find(([name]) => name === register)?.[1];
    const found = bytes && gadget(this.#scene, this.#random, bytes);
    if (found === undefined) return false;
    this.go(found);
    this.words.push(value);
    return true;
  }

  idle(count: number): void {
    for (let i = 0; i < count; i++) {
      const [name] = pick(this.#random, pops);
      this.set(name, this.#random.uint32());
    }
  }

  /** Stores a word in memory. @returns whether there are gadgets for it */
  store(address: number, value: number | bigint): boolean {
    for (const [at, from, bytes] of this.#random.shuffle([...stores])) {
      const found = gadget(this.#scene, this.#random, bytes);
      if (found === undefined) continue;
      if (!this.set(at, address) || !this.set(from, value)) continue;
      this.go(found);
      return true;
    }
    return false;
  }

  writesAt(address: number): Write[] {
    return this.words.map((value, index) => ({ address: address + 8 * index, value }));
  }
}

function place(scene: Scene, random: Random): { slot: number; address: number } | undefined {
  return scene.returns.length === 0 ? undefined : pick(random, scene.returns.slice(0, 14));
}

/** A return goes to a chain elsewhere, which mends the stack and goes on as if nothing had been. */
const ropNear: Family = (scene, random) => {
  const at = place(scene, random);
  const pivot = gadget(scene, random, popStackPointer);
  const next = at && scene.memory.word(at.slot + 8);
  if (at === undefined || pivot === undefined || next === undefined) return undefined;
  const chain = new Chain(scene, random);
  chain.idle(between(random, 0, 5));
  if (!chain.store(at.slot + 8, next) || !chain.store(at.slot, at.address)) return undefined;
  chain.idle(between(random, 0, 3));
  chain.go(pivot);
  chain.words.push(at.slot);
  const writes = [
    { address: at.slot, value: pivot },
    { address: at.slot + 8, value: scene.memory.space },
    ...chain.writesAt(scene.memory.space),
  ];
  if (writes.length > 64) return undefined;
  return {
    writes,
    chain: [pivot, ...chain.targets, at.address],
    note: `${chain.targets.length} gadgets`,
  };
};

/** A return goes to a chain on the stack, which ends the program. */
const ropFar: Family = (scene, random) => {
  const at = place(scene, random);
  const end = scene.libc.get('_exit');
  if (at === undefined || end === undefined) return undefined;
  const chain = new Chain(scene, random);
  chain.idle(between(random, 2, 9));
  if (!chain.set('rdi', random.below(3))) return undefined;
  chain.go(end);
  return {
    writes: chain.writesAt(at.slot),
    chain: chain.targets,
    note: `${chain.targets.length} gadgets, _exit`,
  };
};

/** A return goes to a function of the C library, and from there to the end of the program. */
const returnToLibc: Family = (scene, random) => {
  const at = place(scene, random);
  const end = scene.libc.get('_exit');
  const name = pick(random, [
    'getppid',
    'getuid',
    'puts',
    'system',
    'exit',
    'abort',
    'sync',
    'atoi',
    'chdir',
    'mprotect',
    'setuid',
    'rand',
  ]);
  const target = scene.libc.get(name);
  if (at === undefined || end === undefined || target === undefined) return undefined;
  const chain = new Chain(scene, random);
  const text = Buffer.from('true\0\0\0\0').readBigUInt64LE();
  if (random.below(2) === 0 && !chain.set('rdi', scene.memory.space)) return undefined;
  // Functions want the stack as a call leaves it: 8 beyond a multiple of 16.
  const stack = at.slot + 8 * chain.words.length;
  const aligning = gadget(scene, random, bareReturn);
  if (stack % 16 === 8 && random.below(4) > 0 && aligning !== undefined) chain.go(aligning);
  chain.go(target);
  chain.go(end);
  return {
    writes: [...chain.writesAt(at.slot), { address: scene.memory.space, value: text }],
    chain: chain.targets,
    note: name,
  };
};

/** Pointers of the program to functions, those that ran after this moment; tables only if asked. */
function called(scene: Scene, tables: boolean): PointerSlot[] {
  return scene.pointers.filter(({ value, table }) =>
    table.length === 0
      ? scene.entered.has(value)
      : tables && table.some((entry) => scene.entered.has(entry)),
  );
}

const registerNumbers = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'];

/** A callback goes to jumps through memory, one after the other, and then to a function. */
const jop: Family = (scene, random) => {
  const slots = called(scene, false);
  if (slots.length === 0) return undefined;
  const slot = pick(random, slots);
  const registers = scene.entered.get(slot.value);
  if (registers === undefined) return undefined;
  // JMP [REGISTER + DISPLACEMENT] is FF /4 with 8 bits of displacement.
  const jumps: { at: number; through: number }[] = [];
  for (const [number, name] of registerNumbers.entries()) {
    const value = Number(registers[name] ?? 0n);
    if (name === 'rsp' || !scene.memory.isWritable(value)) continue;
    for (const at of scene.memory.find([0xff, 0x60 | number])) {
      const displacement = scene.memory.codeAt(at + 2, 1)?.readInt8(0);
      if (displacement === undefined) continue;
      const through = value + displacement;
      if (scene.memory.isWritable(through) && Math.abs(through - slot.address) >= 8)
        jumps.push({ at, through });
    }
  }
  random.shuffle(jumps);
  const steps: typeof jumps = [];
  const wanted = between(random, 2, 4);
  for (const jump of jumps) {
    if (steps.length === wanted) break;
    if (steps.every((step) => Math.abs(step.through - jump.through) >= 8)) steps.push(jump);
  }
  if (steps.length < 2) return undefined;
  const name = pick(random, ['own', 'getpid', 'abs', 'labs', 'getuid', 'clock', 'rand']);
  const end = name === 'own' ? slot.value : scene.libc.get(name);
  if (end === undefined) return undefined;
  const targets = [...steps.map(({ at }) => at), end];
  return {
    writes: [
      { address: slot.address, value: targets[0] },
      ...steps.map(({ through }, index) => ({ address: through, value: targets[index + 1] })),
    ],
    chain: targets,
    note: `${steps.length} jumps, ${name}`,
  };
};

/** A loop of a few rounds, so that the page's code has some length. */
const idleCode = (random: Random): number[] => [
  // mov r11d, N; dec r11d; jnz back
  ...[0x41, 0xbb, between(random, 2, 40), 0, 0, 0],
  ...[0x41, 0xff, 0xcb, 0x75, 0xfb],
];
const jumpTo = (target: number): number[] => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(target));
  // movabs r11, TARGET; jmp r11
  return [0x49, 0xbb, ...bytes, 0x41, 0xff, 0xe3];
};
const storeCode = (address: number, value: bigint | number): number[] => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(address), 0);
  bytes.writeBigUInt64LE(BigInt(value), 8);
  // movabs r10, ADDRESS; movabs r11, VALUE; mov [r10], r11
  return [0x49, 0xba, ...bytes.subarray(0, 8), 0x49, 0xbb, ...bytes.subarray(8), 0x4d, 0x89, 0x1a];
};
const codeAt = (address: number, code: readonly number[]): Write[] => {
  const bytes = Buffer.alloc(Math.ceil(code.length / 8) * 8);
  bytes.set(code);
  return times(bytes.length / 8, (index) => ({
    address: address + 8 * index,
    value: bytes.readBigUInt64LE(8 * index),
  }));
};

/** Code on a page that may be written and executed, reached by a return, a callback or a far return. */
const shell: Family = (scene, random) => {
  const { memory } = scene;
  const start = memory.page + 16 * random.below(64);
  const kind = random.below(3);
  if (kind === 1) {
    const slots = called(scene, false);
    if (slots.length === 0) return undefined;
    const slot = pick(random, slots);
    const end = random.below(2) === 0 ? jumpTo(slot.value) : [0x31, 0xc0, 0xc3];
    return {
      writes: [
        { address: slot.address, value: start },
        ...codeAt(start, [...idleCode(random), ...end]),
      ],
      chain: [start],
      note: 'called back',
    };
  }
  const at = place(scene, random);
  if (at === undefined) return undefined;
  if (kind === 0) {
    const code = [...idleCode(random), ...jumpTo(at.address)];
    return {
      writes: [{ address: at.slot, value: start }, ...codeAt(start, code)],
      chain: [start, at.address],
      note: 'returned to',
    };
  }
  const far = gadget(scene, random, farReturn);
  const one = memory.word(at.slot + 8);
  const two = memory.word(at.slot + 16);
  if (far === undefined || one === undefined || two === undefined) return undefined;
  // The far return took 16 bytes more than the return would have.
  const back = [0x48, 0x83, 0xec, 0x10];
  const mend = [...storeCode(at.slot + 8, one), ...storeCode(at.slot + 16, two)];
  const code = [...back, ...mend, ...idleCode(random), ...jumpTo(at.address)];
  return {
    writes: [
      { address: at.slot, value: far },
      { address: at.slot + 8, value: start },
      { address: at.slot + 16, value: 0x33 },
      ...codeAt(start, code),
    ],
    chain: [far, start, at.address],
    note: 'returned to far',
  };
};

/** Puts `target` where the program looks for a function: into the slot, or into a table of our own. */
function redirect(scene: Scene, slot: PointerSlot, target: number): Write[] {
  if (slot.table.length === 0) return [{ address: slot.address, value: target }];
  return [
    { address: slot.address, value: scene.memory.space },
    ...slot.table.map((_, index) => ({ address: scene.memory.space + 8 * index, value: target })),
  ];
}

/** A pointer of the program goes to a function that it never held, or into the middle of one. */
const functionPointer: Family = (scene, random) => {
  const slots = called(scene, true);
  if (slots.length === 0) return undefined;
  const slot = pick(random, slots);
  if (random.below(2) === 0) {
    const name = pick(random, [
      'getpid',
      'abs',
      'labs',
      'rand',
      'getuid',
      'system',
      'puts',
      'atoi',
      'mprotect',
      'strlen',
      'free',
    ]);
    const target = scene.libc.get(name);
    if (target === undefined) return undefined;
    return { writes: redirect(scene, slot, target), chain: [target], note: name };
  }
  const middles = instructionsIn(scene.memory, pick(random, scene.functions), 48);
  if (middles.length === 0) return undefined;
  const target = pick(random, middles);
  return { writes: redirect(scene, slot, target), chain: [target], note: 'middle of a function' };
};

/** A pointer of the program goes to another function that pointers of the program hold, and that runs. */
const mimicry: Family = (scene, random) => {
  const slots = called(scene, true);
  const tables = slots.filter(({ table }) => table.length > 0);
  if (slots.length < 2) return undefined;
  const slot = pick(random, slots);
  if (slot.table.length > 0 && random.below(2) === 0) {
    // Another class's table: each call that differs is a hijacked one.
    const others = tables.filter(
      ({ value, table }) => value !== slot.value && table.length >= slot.table.length,
    );
    if (others.length === 0) return undefined;
    const other = pick(random, others);
    const differing = other.table.filter((entry, index) => entry !== slot.table[index]);
    if (differing.length === 0) return undefined;
    return {
      writes: [{ address: slot.address, value: other.value }],
      chain: [differing[0]],
      note: 'another table',
    };
  }
  const known = slots.flatMap(({ value, table }) => (table.length === 0 ? [value] : table));
  const targets = [...new Set(known)].filter(
    (target) => scene.entered.has(target) && target !== slot.value && !slot.table.includes(target),
  );
  if (targets.length === 0) return undefined;
  const target = pick(random, targets);
  return { writes: redirect(scene, slot, target), chain: [target], note: 'another function' };
};

/** Numbers of the program change; all transfers stay legal. */
const dataOnly: Family = (scene, random) => {
  const words: number[] = [];
  for (const { start, bytes } of scene.memory.dumped) {
    const region = scene.memory.regionOf(start);
    if (!region?.rights.startsWith('rw') || start === scene.memory.stackPointer) continue;
    if (/\/(?:libhijack|ld-|libc\.)/.test(region.path)) continue;
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const value = bytes.readBigUInt64LE(at);
      if (value > 0n && value < 4096n) words.push(start + at);
    }
  }
  if (words.length === 0) return undefined;
  const chosen = times(between(random, 1, 6), () => pick(random, words));
  return {
    writes: chosen.map((address) => ({ address, value: random.below(64) })),
    chain: [],
    note: `${chosen.length} numbers`,
  };
};

export const families: Readonly<Record<string, Family>> = {
  rop_near: ropNear,
  rop_far: ropFar,
  ret2libc: returnToLibc,
  jop,
  shell,
  fptr: functionPointer,
  mimicry,
  data: dataOnly,
};
