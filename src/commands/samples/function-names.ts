import type { Address } from '../../base/address.ts';
import type { ProcessCode } from '../../evidence/code/process-code.ts';

/** A function, or what is known of the code there. */
export interface NamedFunction {
  readonly name: string;
  /** Name of its file; empty outside every file. */
  readonly module: string;
}

/**
 * Names the functions of a process, stripped files included: by symbols, by the names that an image gives
 * to others, a linkage stub by what it leads to. A function without any name is called by where it
 * begins, as unwind tables tell: `function at 0x3ef00`, counted from the start of its file.
 */
export class FunctionNames {
  readonly #code: ProcessCode;

  constructor(code: ProcessCode) {
    this.#code = code;
  }

  at(address: Address): NamedFunction {
    const { space } = this.#code;
    const index = space.moduleAt(address);
    if (index < 0) return { name: '(no file)', module: '' };
    const { name: file, base } = space.modules[index];
    const module = file === '' ? '(unnamed)' : file;
    const range = this.#code.functionRange(address);
    const known = this.#nameOf(address) ?? (range && this.#nameOf(range.start));
    if (known !== undefined) return { name: known, module };
    const stub = this.#code.stubTargets(address)?.map((target) => this.#nameOf(target));
    const called = stub?.find((name) => name !== undefined);
    if (called !== undefined) return { name: `${called}@plt`, module };
    if (range === undefined) return { name: `(code of ${module})`, module };
    return { name: `function at 0x${(range.start - base).toString(16)}`, module };
  }

  #nameOf(address: Address): string | undefined {
    const symbol = this.#code.space.symbolAt(address);
    if (symbol !== undefined) return symbol.name;
    const place = this.#code.place(address);
    return place?.code.namesAt(place.own)[0];
  }
}
