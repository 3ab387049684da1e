import { describe, expect, test } from 'vitest';
import { ReturnUse, readReturnUse } from './return-slot.ts';

const { reads, writes } = ReturnUse;

function useOf(hex: string, bits: 32 | 64 = 64): number {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  return readReturnUse((at) => bytes.subarray(at - 0x1000), 0x1000, bits);
}

// Assembled by GNU as 2.40; the sources are in the second column.
describe('what a routine does with its return address', () => {
  test.each([
    ['48 83 04 24 03 c3', 'add qword [rsp],3; ret', reads | writes],
    [
      '50 48 8b 44 24 08 48 ff c0 72 05 48 ff 44 24 08 58 c3',
      'push rax; ...; inc [rsp+8]',
      reads | writes,
    ],
    ['5f 53 48 89 fb ff e3', 'pop rdi; push rbx; mov rbx,rdi; jmp rbx', reads | writes],
    ['58 48 83 c0 05 50 c3', 'pop rax; add rax,5; push rax; ret', reads | writes],
    ['55 48 89 e5 48 8b 45 08 c9 c3', 'push rbp; mov rbp,rsp; mov rax,[rbp+8]; leave; ret', reads],
    ['55 48 89 e5 48 83 ec 20 48 89 45 08 c9 c3', '...; mov [rbp+8],rax; leave; ret', writes],
    [
      '48 83 ec 18 e8 00 00 00 00 48 89 44 24 18 48 83 c4 18 c3',
      'sub rsp,24; call; mov [rsp+24],rax',
      writes,
    ],
    [
      '48 83 ec 18 48 89 44 24 10 48 83 c4 18 c3',
      'sub rsp,24; mov [rsp+16],rax; add rsp,24; ret',
      0,
    ],
    ['48 83 e4 f0 48 89 04 24 c3', 'and rsp,-16; mov [rsp],rax; ret', 0],
    [
      '85 ff 74 03 31 c0 c3 48 ff 04 24 c3',
      'test edi,edi; je .+5; xor eax,eax; ret; inc [rsp]',
      reads | writes,
    ],
    ['48 8d 44 24 08 48 89 78 f8 c3', 'lea rax,[rsp+8]; mov [rax-8],rdi; ret', writes],
    ['48 8d 44 24 08 e8 00 00 00 00 48 89 78 f8 c3', 'the same with a call between', 0],
    ['41 54 55 53 5b 5d 41 5c c3', 'push r12; push rbp; push rbx; pop ...; ret', 0],
    ['c3', 'ret', 0],
    ['', 'no code', 0],
    ['eb fe', 'jmp to itself', 0],
  ])('%s (%s)', (hex, _text, expected) => {
    expect(useOf(hex)).toBe(expected);
  });

  test('in 32-bit code', () => {
    expect(useOf('8b 1c 24 c3', 32)).toBe(reads);
    expect(useOf('83 04 24 05 c3', 32)).toBe(reads | writes);
    expect(useOf('8b 44 24 04 89 44 24 08 c3', 32)).toBe(0);
  });
});
