import type { Section } from '../../image/address-space.ts';
import { PointerTargets } from './pointer-targets.ts';
import { SiteReader } from './site-targets.ts';
import { type CodeCensus, takeCensus } from './tables/code-census.ts';
import { ImageFacts, readImageParts } from './tables/image-facts.ts';
import type { KeptFacts } from './tables/kept-facts.ts';
import { binderJumps } from './tables/linkage.ts';

/** The facts of one image, and what follows from them about its indirect transfers. */
export class ImageCode extends ImageFacts {
  #pointerTargets: PointerTargets | undefined;
  #binderJumps: number[] | undefined;
  #census: CodeCensus | undefined;
  #sites: SiteReader | undefined;

  /**
   * @param sections  all of one module
   * @param base  where the module's lowest page is mapped
   * @param kept  what was found out about images before
   * @returns `undefined` for what is no ELF or PE image of x86
   */
  static read(sections: readonly Section[], base: number, kept?: KeptFacts): ImageCode | undefined {
    const parts = readImageParts(sections, base);
    return parts === undefined ? undefined : new ImageCode(parts, kept);
  }

  /** Where the dynamic linker jumps to what it has just bound. */
  get binderJumps(): readonly number[] {
    this.#binderJumps ??= binderJumps(this.memory, this.tables);
    return this.#binderJumps;
  }

  /** How many instructions and calls the executable bytes hold, estimated from evenly spread parts. */
  get census(): CodeCensus {
    this.#census ??= takeCensus(this.memory, this.tables.bits === 64);
    return this.#census;
  }

  /** Where indirect transfers lead. */
  get sites(): SiteReader {
    this.#sites ??= new SiteReader(this);
    return this.#sites;
  }

  /** Keeps what was found out since the image was read, where somebody keeps such things. */
  keep(): void {
    this.#sites?.keep();
  }

  /** What pointers may lead to. */
  get pointerTargets(): PointerTargets {
    this.#pointerTargets ??= new PointerTargets(this, this.sites);
    return this.#pointerTargets;
  }
}
