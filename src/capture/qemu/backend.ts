import type { ChunkSource } from './chunk-source.ts';

export type BackendName = 'plugin' | 'log';
/** `auto`: the plugin where a C compiler can make it, else the log. */
export type BackendChoice = BackendName | 'auto';

/** One way in which QEMU tells what a program executes, for one run. */
export interface Backend {
  /** QEMU's options. */
  readonly flags: readonly string[];
  /** Where the bytes for `add` come from: descriptor 3 of the emulator, or a source of the backend's own. */
  readonly source: 'descriptor' | ChunkSource;
  /** Must not keep the chunk. */
  readonly add: (chunk: Buffer) => void;
  /** The recording cannot go on, though the program does. */
  readonly isBlind: () => boolean;
  /** The emulator has ended, perhaps without having started. */
  readonly ended: () => Promise<void>;
  /** All bytes have been added. @param died  whether a signal ended the program */
  readonly finish: (died: boolean) => Promise<void>;
}
