/** The part of libsvm-js (which ships no types) that is used here. */
export interface Svm {
  train(samples: readonly (readonly number[])[], labels: readonly number[]): void;
  /** LIBSVM's model file. */
  serializeModel(): string;
  /** @returns indices of the support vectors among the samples, in the model file's order */
  getSVIndices(): number[];
  /** The model lives in memory of its own, which nobody else frees. */
  free(): void;
}

/** Options in the order in which LIBSVM is given them. */
interface SvmParameters {
  readonly type: string;
  readonly kernel: string;
  readonly cost: number;
  readonly tolerance: number;
  /** Factor on the cost of each class. */
  readonly weight: Readonly<Record<number, number>>;
  /** Must come last: LIBSVM's reader stops there. */
  readonly quiet: true;
}

type SvmClass = new (parameters: SvmParameters) => Svm;

/**
 * Loads LIBSVM when it is first needed.
 *
 * The asm.js build, because the WebAssembly build prints warnings under Node; with two features
 * and some hundred traces both take milliseconds.
 */
export async function loadLibsvm(): Promise<SvmClass> {
  const before = new Set(process.listeners('unhandledRejection'));
  // @ts-expect-error the package ships no types
  const loaded = (await import('libsvm-js/asm.js')) as { readonly default: SvmClass };
  // Its run-time would end the process, without a word, at any unhandled rejection anywhere.
  for (const listener of process.listeners('unhandledRejection')) {
    if (!before.has(listener)) process.removeListener('unhandledRejection', listener);
  }
  return loaded.default;
}
