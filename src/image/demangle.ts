import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** A longer name costs more than it tells. */
const longest = 2048;
/** What a C++ compiler (Itanium ABI, with the underscore of some systems), Rust or Visual C++ makes. */
const isMangled = /^(?:_{1,2}(?:Z|R)|\?)/;

/**
 * @returns a symbol's name as its source has it (`std::vector<int>::push_back(int const&)`); the name
 *   itself where it is not mangled, or nobody can read it
 */
export function demangle(name: string): string {
  if (!isMangled.test(name) || name.length > longest) return name;
  try {
    demangler ??= loadDemangler();
    const read = demangler(name);
    // One of its readers drops an underscore of what it cannot read.
    return read === name.slice(1) ? name : read;
  } catch {
    // A trap leaves the instance unusable; the next name gets a new one.
    demangler = undefined;
    return name;
  }
}

let demangler: ((name: string) => string) | undefined;

/** WebAssembly as far as it is used; Node has it, its types do not. */
interface WebAssemblyApi {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, object>>,
  ) => { readonly exports: { readonly __wbindgen_start: () => void } };
}

/** The package is made for bundlers, so that its WebAssembly has to be brought to it. */
function loadDemangler(): (name: string) => string {
  const load = createRequire(import.meta.url);
  const glue = load('gecko-profiler-demangle/index_bg.js') as {
    demangle_any(name: string): string;
    __wbg_set_wasm(exports: object): void;
  };
  const code = readFileSync(load.resolve('gecko-profiler-demangle/index_bg.wasm'));
  const { Instance, Module } = (globalThis as unknown as { WebAssembly: WebAssemblyApi })
    .WebAssembly;
  const { exports } = new Instance(new Module(code), { './index_bg.js': glue });
  glue.__wbg_set_wasm(exports);
  exports.__wbindgen_start();
  return glue.demangle_any;
}
