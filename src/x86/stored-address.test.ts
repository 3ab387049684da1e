import { expect, test } from 'vitest';
import { storesOnStack } from './stored-address.ts';

// Assembled by GNU as 2.40; the place is 0x20 bytes behind the beginning.
test.each([
  ['48 8d 05 19 00 00 00 50', 64, true, 'lea rax,[rip+0x19]; push rax'],
  ['4c 8d 15 19 00 00 00 41 52', 64, true, 'lea r10,[rip+0x19]; push r10'],
  ['4c 8d 15 19 00 00 00 52', 64, false, 'lea r10,[rip+0x19]; push rdx'],
  ['48 8d 05 19 00 00 00 48 89 04 24', 64, true, 'lea rax,[rip+0x19]; mov [rsp],rax'],
  ['48 8d 05 19 00 00 00 48 87 44 24 08', 64, true, 'lea rax,[rip+0x19]; xchg [rsp+8],rax'],
  ['48 8d 05 19 00 00 00 ff e0', 64, false, 'lea rax,[rip+0x19]; jmp rax'],
  ['48 8d 05 19 00 00 00 48 89 03', 64, false, 'lea rax,[rip+0x19]; mov [rbx],rax'],
  ['48 8d 05 18 00 00 00 50', 64, false, 'lea rax,[rip+0x18]; push rax'],
  ['68 20 10 40 00 c3', 64, true, 'push 0x401020; ret'],
  ['68 20 10 40 00 c3', 32, true, 'push 0x401020; ret'],
  ['b8 20 10 40 00 50', 32, true, 'mov eax,0x401020; push eax'],
  ['41 ba 20 10 40 00 41 52', 64, true, 'mov r10d,0x401020; push r10'],
  ['b8 20 10 40 00 ff d0', 32, false, 'mov eax,0x401020; call eax'],
  ['', 64, false, 'nothing'],
] as const)('%s in %i-bit code: %s (%s)', (hex, bits, expected, _text) => {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  expect(storesOnStack(bytes, 0x20, 0x401020, bits)).toBe(expected);
});
