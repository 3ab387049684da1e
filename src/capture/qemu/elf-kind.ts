import { UserError } from '../../base/errors.ts';

/** What the recorder must know of a program before it runs it. */
export interface ElfKind {
  readonly bitness: 32 | 64;
  /** The dynamic loader; `undefined` for a static program. */
  readonly loader: string | undefined;
}

/** @throws UserError `not-recordable` for anything but an x86 ELF executable */
export function elfKind(bytes: Uint8Array, path: string): ElfKind {
  const refuse = (why: string): UserError =>
    new UserError('not-recordable', why, { category: 'input', path });
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (head.length >= 2 && head.toString('latin1', 0, 2) === '#!') {
    const interpreter = head.toString('latin1', 2, 80).split('\n')[0]?.trim() ?? '';
    throw refuse(`is a script; record its interpreter instead: ${interpreter}`);
  }
  if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46) throw refuse('is no ELF program');
  const machine = head.readUInt16LE(18);
  const is64 = head[4] === 2;
  if (head[5] !== 1 || (machine !== 62 && machine !== 3) || is64 !== (machine === 62)) {
    throw refuse(`is for another processor (ELF machine ${machine}), not x86`);
  }
  const at = is64 ? Number(head.readBigUInt64LE(32)) : head.readUInt32LE(28);
  const size = head.readUInt16LE(is64 ? 54 : 42);
  const count = head.readUInt16LE(is64 ? 56 : 44);
  for (let i = 0; i < count; i++) {
    const row = at + i * size;
    if (row + size > head.length) throw refuse('its program headers are cut off');
    if (head.readUInt32LE(row) !== 3) continue;
    const offset = is64 ? Number(head.readBigUInt64LE(row + 8)) : head.readUInt32LE(row + 4);
    const length = is64 ? Number(head.readBigUInt64LE(row + 32)) : head.readUInt32LE(row + 16);
    if (offset + length > head.length) throw refuse('the name of its loader is cut off');
    const loader = head.toString('latin1', offset, offset + length).replace(/\0.*$/, '');
    return { bitness: is64 ? 64 : 32, loader };
  }
  return { bitness: is64 ? 64 : 32, loader: undefined };
}
