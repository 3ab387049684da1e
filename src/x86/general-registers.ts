import { Register } from 'iced-x86';

export const highestRegister = 15;

/** @returns number of a 32- or 64-bit general register; -1 for others and none */
export function generalRegister(register: number): number {
  if (register >= Register.RAX && register <= Register.R15) return register - Register.RAX;
  if (register >= Register.EAX && register <= Register.R15D) return register - Register.EAX;
  return -1;
}
