import type { Address } from '../../../base/address.ts';
import { formatAddress } from '../../../base/address.ts';
import { type ImageCodeCache, ProcessCode } from '../../../evidence/code/process-code.ts';
import type { AddressSpace } from '../../../image/address-space.ts';
import type { NameSources } from '../../../names/name-sources.ts';
import { PlaceNames } from '../../../names/place-names.ts';
import type { Vocabulary } from '../../../sequences/vocabulary.ts';

/** What the places of a process are called, as `judge` names them. */
export class AlarmNames {
  readonly #space: AddressSpace;
  readonly #places: PlaceNames;
  readonly #vocabulary: Pick<Vocabulary, 'describeOutput' | 'placeOfOutput'>;

  private constructor(
    space: AddressSpace,
    places: PlaceNames,
    vocabulary: Pick<Vocabulary, 'describeOutput' | 'placeOfOutput'>,
  ) {
    this.#space = space;
    this.#places = places;
    this.#vocabulary = vocabulary;
  }

  /**
   * Reads the names of what is mapped; what `sources` has read before takes no time.
   *
   * @param modules  names of those that will be asked for; by default all
   */
  static async open(
    space: AddressSpace,
    setup: {
      readonly imageCode: ImageCodeCache;
      readonly vocabulary: Pick<Vocabulary, 'describeOutput' | 'placeOfOutput'>;
    },
    sources: NameSources,
    modules?: ReadonlySet<string>,
  ): Promise<AlarmNames> {
    const code = new ProcessCode(space, setup.imageCode);
    const places = await PlaceNames.open(
      ...([code, sources] as const),
      (module) => modules?.has(space.modules[module].name) ?? true,
    );
    return new AlarmNames(space, places, setup.vocabulary);
  }

  /** `libz.so.1!inflate+0x12` */
  at(address: Address): string {
    if (this.#space.moduleAt(address) < 0) return `(no file) ${formatAddress(address)}`;
    return this.#places.textAt(address);
  }

  /** The place that an output class stands for. */
  ofOutput(output: number): string {
    const place = this.#vocabulary.placeOfOutput(output);
    const name = place && this.#places.textIn(place.module, place.offset);
    return name ?? this.#vocabulary.describeOutput(output);
  }
}
