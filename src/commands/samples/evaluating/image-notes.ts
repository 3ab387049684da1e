import type { Logger } from '../../../base/log.ts';
import type { OpenedTrace } from '../../../trace/open-trace.ts';

/** Tells once about each image that a corpus lacks, or that is no executable file, and what else a trace notes. */
export class ImageNotes {
  readonly #told: Set<string> = new Set();
  /** Dumps are what was asked for. */
  readonly #isRaw: boolean;

  constructor(rawImages: boolean) {
    this.#isRaw = rawImages;
  }

  tell(trace: Pick<OpenedTrace, 'missing' | 'flat' | 'notes'>, log: Logger): void {
    for (const note of trace.notes ?? []) this.#once(note, note, log);
    for (const path of trace.missing) {
      this.#once(path, `no --bin-dir holds ${path}: code in it is a gap`, log);
    }
    if (this.#isRaw) return;
    for (const path of trace.flat) {
      this.#once(
        path,
        `the file for ${path} is no whole ELF or PE file: it is taken as a memory dump`,
        log,
      );
    }
  }

  #once(path: string, message: string, log: Logger): void {
    if (this.#told.has(path)) return;
    this.#told.add(path);
    log.log('warning', message);
  }
}
