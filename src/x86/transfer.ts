import { keysOf } from '../base/values.ts';

/**
 * The control transfer that ends a basic block. Small integers, because tables of them are read in
 * hot loops.
 *
 * `jmp` and `call` go where the instruction says; `ijmp` and `icall` go through a register or
 * memory (the ancestor's tools looked for the word `ptr` and so missed `call rax`). `syscall` is
 * SYSCALL, SYSENTER and INT n; `far` is IRET, SYSRET, SYSEXIT and far jumps, calls and returns.
 */
export const Transfer = {
  /** The block was cut: its code is missing, or the trace ends inside it. */
  none: 0,
  jcc: 1,
  jmp: 2,
  ijmp: 3,
  call: 4,
  icall: 5,
  ret: 6,
  syscall: 7,
  far: 8,
} as const;

export type TransferName = keyof typeof Transfer;
export type TransferKind = (typeof Transfer)[TransferName];

/** Names by kind: `transferNames[Transfer.ret] === 'ret'`. */
export const transferNames: readonly TransferName[] = keysOf(Transfer);
