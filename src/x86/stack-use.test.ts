import { describe, expect, test } from 'vitest';
import { maySetStackPointer, readStackUse, StackUse } from './stack-use.ts';

const { loads, switches, jumps, replaces, pops, reads, fromRegister, moves, resumes, dispatches } =
  StackUse;
const from = (register: number): number => loads | switches | fromRegister | (register << 8);

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
}

// Assembled by GNU as 2.40; the sources are in the second column.
describe('what a block does to the stack pointer', () => {
  test.each([
    ['48 83 c4 18 5b 5d c3', 'add rsp,24; pop rbx; pop rbp; ret', pops],
    ['c9 c3', 'leave; ret', 0],
    ['48 8d 65 d8 5b 41 5c 5d c3', 'lea rsp,[rbp-40]; pop rbx; pop r12; pop rbp; ret', 0],
    ['50 c3', 'push rax; ret', jumps],
    ['68 78 56 34 12 c3', 'push 0x12345678; ret', jumps],
    ['48 89 04 24 c3', 'mov [rsp],rax; ret: what a retpoline ends in', jumps | replaces],
    ['48 87 04 24 c3', 'xchg [rsp],rax; ret', jumps | replaces],
    ['50 5b c3', 'push rax; pop rbx; ret', 0],
    ['48 8d 64 24 08 c3', 'lea rsp,[rsp+8]; ret', pops],
    ['48 89 cc c3', 'mov rsp,rcx; ret: eh_return', from(1)],
    ['4c 89 c4 4c 89 cd ff e2', 'mov rsp,r8; mov rbp,r9; jmp rdx: longjmp', from(8)],
    ['48 8b 67 30 ff 67 38', 'mov rsp,[rdi+48]; jmp [rdi+56]', loads | switches],
    [
      '48 8b 67 30 51 31 c0 c3',
      'mov rsp,[rdi+48]; push rcx; xor eax,eax; ret',
      loads | switches | jumps,
    ],
    ['48 94 c3', 'xchg rsp,rax; ret', loads | switches],
    ['5c c3', 'pop rsp; ret', loads | pops],
    ['4c 8b 55 f8 c9 49 8d 62 f8 c3', 'mov r10,[rbp-8]; leave; lea rsp,[r10-8]; ret', loads],
    ['41 5a 5d 49 8d 62 f8 c3', 'pop r10; pop rbp; lea rsp,[r10-8]; ret', loads | pops],
    [
      '49 8b 66 08 41 8f 46 08 c3',
      'mov rsp,[r14+8]; pop [r14+8]; ret: raise in OCaml',
      loads | switches,
    ],
    ['48 89 dc 48 8d 65 f0 5b 41 5c 5d c3', 'mov rsp,rbx; lea rsp,[rbp-16]; ...; ret', loads],
    ['48 83 e4 f0 50 58 c3', 'and rsp,-16; push rax; pop rax; ret', 0],
    [
      '48 8d 54 24 08 48 89 57 30 48 8b 04 24 48 89 47 38',
      'lea rdx,[rsp+8]; ...; mov rax,[rsp]: setjmp',
      reads,
    ],
    ['41 ff 24 8b', 'jmp [r11+rcx*4]', dispatches],
    ['48 89 d4 ff 24 c5 00 10 40 00', 'mov rsp,rdx; jmp [rax*8+0x401000]', from(2) | dispatches],
    ['48 63 04 82 48 01 d0 3e ff e0', 'movsxd rax,[rdx+rax*4]; add rax,rdx; jmp rax', dispatches],
    [
      '48 63 0c 8a 48 8d 04 0a ff e0',
      'movsxd rcx,[rdx+rcx*4]; lea rax,[rdx+rcx]; jmp rax',
      dispatches,
    ],
    ['48 8b 04 c7 48 89 c1 ff e1', 'mov rax,[rdi+rax*8]; mov rcx,rax; jmp rcx', dispatches],
    ['48 63 0c 8a 48 03 14 8f ff e2', '...; add rdx,[rdi+rcx*4]; jmp rdx', dispatches],
    ['48 63 04 82 48 8b 07 ff e0', 'movsxd rax,[rdx+rax*4]; mov rax,[rdi]; jmp rax', 0],
    ['48 63 04 82 58 ff e0', 'movsxd rax,[rdx+rax*4]; pop rax; jmp rax', pops],
    ['41 ff 63 08', 'jmp [r11+8]', 0],
    ['5b c3', 'pop rbx; ret', pops],
    [
      '48 01 c4 48 01 c5 e8 00 00 00 00',
      'add rsp,rax; add rbp,rax; call: stacks are copied',
      loads | switches | moves,
    ],
    ['48 01 c4 48 89 cc c3', 'add rsp,rax; mov rsp,rcx; ret', from(1)],
    ['48 81 c4 70 01 00 00 9d 5d c3', 'add rsp,368; popfq; pop rbp; ret', pops | resumes],
  ])('%s (%s)', (hex, _text, expected) => {
    const bytes = bytesOf(hex);
    expect(readStackUse(bytes, 64)).toBe(expected);
    if ((expected & loads) !== 0) expect(maySetStackPointer(bytes, true)).toBe(true);
  });

  test.each([
    ['8b 4d fc c9 8d 61 fc c3', 'mov ecx,[ebp-4]; leave; lea esp,[ecx-4]; ret', loads],
    ['8b 65 e8', 'mov esp,[ebp-24]: where an __except block begins', loads],
    ['8b 60 10 ff e2', 'mov esp,[eax+16]; jmp edx', loads | switches],
    ['8b 1c 24 c3', 'mov ebx,[esp]; ret', reads],
    ['8b 54 24 08 89 d4 c3', 'mov edx,[esp+8]; mov esp,edx; ret: an argument', loads | switches],
    ['8b 55 0c 89 d4 c3', 'mov edx,[ebp+12]; mov esp,edx; ret: an argument', loads | switches],
  ])('%s (%s) in 32-bit code', (hex, _text, expected) => {
    const bytes = bytesOf(hex);
    expect(readStackUse(bytes, 32)).toBe(expected);
    if ((expected & loads) !== 0) expect(maySetStackPointer(bytes, false)).toBe(true);
  });

  test('most blocks cannot set it, and are not read in full', () => {
    const common = ['48 8b 44 24 08 ff d0', '4c 8b 64 24 08 c3', '48 83 ec 18 e8 00 00 00 00'];
    for (const hex of common) expect(maySetStackPointer(bytesOf(hex), true)).toBe(false);
  });
});
