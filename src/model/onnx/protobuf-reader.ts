/** One field of a message: its number and what stands there. */
export interface Field {
  readonly number: number;
  /** Of varints and fixed-size fields; 64-bit ones as signed. */
  readonly value: bigint;
  /** Of fields with a length; empty for others. */
  readonly bytes: Uint8Array;
}

/**
 * Walks the fields of a message in protobuf's wire format. Groups are not read: nothing has written
 * them for fifteen years.
 *
 * @throws Error where the bytes are no message
 * @see https://protobuf.dev/programming-guides/encoding/
 */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a number is cut off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 128) return BigInt.asIntN(64, value);
    }
    throw new Error('a number has more than ten bytes');
  };
  const take = (length: number): number => {
    const from = at;
    if (length > message.length - at) throw new Error('a field is cut off');
    at += length;
    return from;
  };
  const none = new Uint8Array(0);
  while (at < message.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    switch (Number(tag & 7n)) {
      case 0:
        yield { number, value: varint(), bytes: none };
        break;
      case 1:
        yield { number, value: view.getBigInt64(take(8), true), bytes: none };
        break;
      case 2: {
        const length = Number(varint());
        if (length < 0) throw new Error('a length is below 0');
        const from = take(length);
        yield { number, value: 0n, bytes: message.subarray(from, from + length) };
        break;
      }
      case 5:
        yield { number, value: BigInt(view.getInt32(take(4), true)), bytes: none };
        break;
      default:
        throw new Error(`a field has the wire type ${tag & 7n}`);
    }
  }
}

/** @returns the varints of a packed field */
export function* varintsOf(bytes: Uint8Array): Generator<bigint> {
  let value = 0n;
  let shift = 0n;
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    shift += 7n;
    if (byte < 128) {
      yield BigInt.asIntN(64, value);
      value = 0n;
      shift = 0n;
    } else if (shift >= 70n) throw new Error('a number has more than ten bytes');
  }
}
