import { adler32 } from '../../base/bytes/adler32.ts';

/**
 * Calls are symbols in modules of their own. No module of a trace is called so: the name of an image
 * holds no slash.
 */
const prefix = 'call/';

/** A symbol's name in two parts, as `SymbolTable` has them. */
export interface CallSymbol {
  readonly module: string;
  readonly offset: number;
}

/**
 * @param call  a name such as `NtCreateFile` or `openat`, or the number of a call
 * @returns a symbol that is the same in every trace
 */
export function callSymbol(call: string | number): CallSymbol {
  if (typeof call === 'number') return { module: prefix, offset: call };
  // The offset only spreads calls over the classes of a hashed vocabulary.
  return { module: prefix + call, offset: adler32(call) };
}

export function isCallModule(module: string): boolean {
  return module.startsWith(prefix);
}

/** @returns the call's name, or `undefined` when the symbol is a block */
export function callName(module: string, offset: number): string | undefined {
  if (!isCallModule(module)) return undefined;
  return module.length === prefix.length ? `call ${offset}` : module.slice(prefix.length);
}
