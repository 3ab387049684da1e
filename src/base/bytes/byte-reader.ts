/** What is wrong with a file that cannot be used, in a few words; callers add the path. */
export class Damage extends Error {
  override readonly name = 'Damage';
}

/** Reads what `ByteWriter` wrote, from bytes that nobody vouches for. Every method throws `Damage` at the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  /** @returns a view, not a copy */
  raw(length: number): Uint8Array {
    this.#need(length);
    const start = this.#offset;
    this.#offset += length;
    return this.#bytes.subarray(start, this.#offset);
  }

  uint8(): number {
    this.#need(1);
    return this.#bytes[this.#offset++];
  }

  uint16(): number {
    this.#need(2);
    this.#offset += 2;
    return this.#view.getUint16(this.#offset - 2, true);
  }

  uint32(): number {
    this.#need(4);
    this.#offset += 4;
    return this.#view.getUint32(this.#offset - 4, true);
  }

  float64(): number {
    this.#need(8);
    this.#offset += 8;
    return this.#view.getFloat64(this.#offset - 8, true);
  }

  float32s(length: number): Float32Array {
    this.#need(4 * length);
    const values = new Float32Array(length);
    for (let i = 0; i < length; i++) {
      values[i] = this.#view.getFloat32(this.#offset, true);
      this.#offset += 4;
    }
    return values;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.uint8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw new Damage('holds a number that is too large');
  }

  /** `length` LEB128 numbers below 2^31, into 32-bit integers. Loops over the bytes itself: evaluations hold half a million. */
  varints(length: number): Int32Array {
    // Each number takes a byte or more: a damaged count must not allocate gigabytes.
    this.#need(length);
    const values = new Int32Array(length);
    const bytes = this.#bytes;
    let offset = this.#offset;
    for (let i = 0; i < length; i++) {
      let byte = bytes[offset++];
      let value = byte & 0x7f;
      for (let shift = 7; byte >= 0x80; shift += 7) {
        byte = bytes[offset++];
        if (byte === undefined) break;
        if (shift > 28 || (shift === 28 && byte > 7)) {
          throw new Damage('holds a number that is too large');
        }
        value |= (byte & 0x7f) << shift;
      }
      values[i] = value;
    }
    if (offset > bytes.length) throw new Damage('ends too early');
    this.#offset = offset;
    return values;
  }

  #need(length: number): void {
    if (length > this.left) throw new Damage('ends too early');
  }
}
