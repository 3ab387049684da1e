import { mix } from './window-counter.ts';

/** A filter of fixed capacity: `hashes` bits of each key are set among `bits`. */
interface Layer {
  readonly words: Uint32Array;
  readonly bits: number;
  readonly hashes: number;
  readonly capacity: number;
  used: number;
}

/** Each layer holds twice as many keys as the one before, with half of its error rate. */
const growth = 2;
const tightening = 0.5;
/** Bit numbers are 32-bit hashes. */
const mostBits = 2 ** 32;

/**
 * A set of 64-bit keys of unknown number in little memory. It never forgets a key; with a
 * probability of at most `errorRate` it takes a new one for known.
 *
 * @see Almeida, Baquero, Preguiça and Hutchison, "Scalable Bloom Filters", Information Processing
 *   Letters 101 (2007)
 */
export class ScalableBloomFilter {
  readonly errorRate: number;
  readonly #layers: Layer[] = [];
  readonly #firstCapacity: number;

  /** @param errorRate  above 0 and below 1  @param firstCapacity  keys of the first layer */
  constructor(errorRate: number, firstCapacity: number = 1 << 16) {
    this.errorRate = errorRate;
    this.#firstCapacity = firstCapacity;
    this.#addLayer();
  }

  /** Adds a key of two 32-bit halves. @returns false when it was there already, or seemed so */
  add(low: number, high: number): boolean {
    const a = mix(low ^ 0x3c6ef372);
    // Odd, so that the steps do not fall together.
    const b = mix(high ^ a) | 1;
    for (const layer of this.#layers) if (has(layer, a, b)) return false;
    let last = this.#layers[this.#layers.length - 1];
    if (last.used >= last.capacity) last = this.#addLayer();
    last.used++;
    for (let i = 0; i < last.hashes; i++) {
      const bit = bitOf(last, a, b, i);
      last.words[bit >>> 5] |= 1 << (bit & 31);
    }
    return true;
  }

  /** Bytes held. */
  get memory(): number {
    return this.#layers.reduce((sum, { words }) => sum + words.byteLength, 0);
  }

  #addLayer(): Layer {
    const index = this.#layers.length;
    // The layers' rates sum to at most the rate that was asked for.
    const rate = this.errorRate * (1 - tightening) * tightening ** index;
    const hashes = Math.max(1, Math.ceil(-Math.log2(rate)));
    const wanted = this.#firstCapacity * growth ** index;
    const bits = Math.min(mostBits, Math.ceil((wanted * hashes) / Math.LN2));
    const capacity = Math.floor((bits * Math.LN2) / hashes);
    const words = new Uint32Array(Math.ceil(bits / 32));
    const layer: Layer = { words, bits, hashes, capacity, used: 0 };
    this.#layers.push(layer);
    return layer;
  }
}

function has(layer: Layer, a: number, b: number): boolean {
  for (let i = 0; i < layer.hashes; i++) {
    const bit = bitOf(layer, a, b, i);
    if ((layer.words[bit >>> 5] & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}

/**
 * Enhanced double hashing; the cubic term keeps keys apart whose steps fall together.
 *
 * @see Dillinger and Manolios, "Bloom filters in probabilistic verification", FMCAD 2004
 */
function bitOf(layer: Layer, a: number, b: number, i: number): number {
  const hash = (a + Math.imul(i, b) + (i * i * i - i) / 6) >>> 0;
  return layer.bits === mostBits ? hash : hash % layer.bits;
}
