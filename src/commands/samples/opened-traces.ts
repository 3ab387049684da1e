import { ImageCodeCache, ProcessCode } from '../../evidence/code/process-code.ts';
import type { CodeCache } from '../../flow/code-cache.ts';
import { ImageStore } from '../../image/image-store.ts';
import { type NameSourceOptions, NameSources } from '../../names/name-sources.ts';
import { PlaceNames } from '../../names/place-names.ts';
import { type OpenedTrace, openTraces } from '../../trace/open-trace.ts';
import { readSample } from '../../trace/sample.ts';
import { layoutOf } from './layout.ts';

/** How the traces of single samples are read, by commands that look into one. */
export interface TraceReading {
  /** Folders of images; empty: those that lie beside each sample. */
  readonly binDirs: readonly string[];
  readonly rawImages: boolean;
  /** Number or name of the traced process, for maps of several. */
  readonly process?: string | undefined;
  /** Processor that recorded the trace: FAMILY/MODEL/STEPPING. */
  readonly cpu?: string | undefined;
  readonly preprocessed: boolean;
  /** Where else names come from than the images. */
  readonly names?: NameSourceOptions | undefined;
}

/** A trace whose places can be named. */
export interface NamedTrace extends OpenedTrace {
  /** Both `undefined` where no images are at hand. */
  readonly code: ProcessCode | undefined;
  readonly names: PlaceNames | undefined;
}

/** Opens samples one after the other; images, their code and their names are read once. */
export class TraceOpener {
  readonly #reading: TraceReading;
  readonly #codeCache: CodeCache;
  /** By the folders that they come from. */
  readonly #images = new Map<string, ImageStore>();
  readonly #imageCode: ImageCodeCache = new ImageCodeCache();
  readonly #sources: NameSources;

  constructor(reading: TraceReading, codeCache: CodeCache) {
    this.#reading = reading;
    this.#codeCache = codeCache;
    this.#sources = new NameSources(reading.names);
  }

  /** @param directory  a sample's folder. @throws UserError */
  async open(directory: string): Promise<readonly OpenedTrace[]> {
    const { preprocessed, process, cpu } = this.#reading;
    const sample = await readSample(directory, preprocessed ? 'preprocessed' : 'any');
    const images = this.#imagesOf(directory);
    return openTraces(sample, { images, codeCache: this.#codeCache, preprocessed, process, cpu });
  }

  /** As `open`, with what names the code of each. @throws UserError */
  async openNamed(directory: string): Promise<readonly NamedTrace[]> {
    const named: NamedTrace[] = [];
    for (const trace of await this.open(directory)) {
      const { space } = trace;
      const code = space === undefined ? undefined : new ProcessCode(space, this.#imageCode);
      const names = code === undefined ? undefined : await PlaceNames.open(code, this.#sources);
      named.push({ ...trace, code, names });
    }
    return named;
  }

  #imagesOf(directory: string): ImageStore {
    const { binDirs: asked, rawImages } = this.#reading;
    const { binDirs } = layoutOf(directory, asked);
    const key = binDirs.join('\n');
    const known = this.#images.get(key);
    if (known !== undefined) return known;
    const images = new ImageStore(binDirs, { rawImages });
    this.#images.set(key, images);
    return images;
  }
}
