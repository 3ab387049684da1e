import { Transfer, type TransferKind } from '../x86/transfer.ts';

/** Transfers whose targets a first layer can be asked to predict. */
export const filterNames = ['ret', 'call', 'icall', 'jmp', 'ijmp', 'jcc'] as const;
export type FilterName = (typeof filterNames)[number];

/** The transfers whose target the code does not say. */
export const defaultFilter: readonly FilterName[] = ['ret', 'icall', 'ijmp'];

/** @returns 1 for each `Transfer` kind that is predicted, 0 for the others */
export function filterTable(names: readonly FilterName[]): Uint8Array {
  const table = new Uint8Array(16);
  for (const name of names) table[Transfer[name] satisfies TransferKind] = 1;
  return table;
}
