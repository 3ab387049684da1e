import { crc32 } from 'node:zlib';
import type { Random } from '../../src/base/random.ts';

/** A tpic document (see tpic.c) that is put together chunk by chunk. */
export class Document {
  readonly chunks: Buffer[] = [];

  add(tag: string, data: Uint8Array): this {
    const head = Buffer.alloc(8);
    head.write(tag, 'latin1');
    head.writeUInt32LE(data.length, 4);
    const body = Buffer.concat([head, data]);
    this.chunks.push(Buffer.concat([body, u32(crc32(body))]));
    return this;
  }

  bytes(): Buffer {
    return Buffer.concat([Buffer.from('TPIC'), u16(1), u16(this.chunks.length), ...this.chunks]);
  }
}

export function u16(value: number): Buffer {
  return Buffer.of(value & 255, value >>> 8);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const words = 'river lamp old seven green paper north quiet stone winter apple of the and to'.split(
  ' ',
);

function sentence(random: Random, most: number): Buffer {
  let text = words[random.below(words.length)];
  while (random.below(6) !== 0 && text.length < most - 8)
    text += ` ${words[random.below(words.length)]}`;
  return Buffer.from(text.slice(0, most));
}

/**
 * @returns a document as they come: most are valid in every respect, one in four has a flaw that
 *   readers meet every day (a picture that is not complete, a chunk of a later version, a checksum
 *   that a careless program wrote)
 */
export function nominal(random: Random, chunks: number = 5 + random.below(9)): Document {
  const document = new Document();
  const width = 12 + random.below(44);
  const height = 12 + random.below(44);
  const depth = 2 + random.below(60);
  document.add('HEAD', Buffer.of(...u16(width), ...u16(height), depth, random.below(4)));
  const pixel = (): number => (random.below(3) === 0 ? random.below(depth) * 4 : 128) & 255;
  const lz = (): Buffer => {
    const parts: Buffer[] = [];
    for (let at = 0; at < width * height; ) {
      const free = width * height - at;
      if (at > 0 && random.below(2) === 0) {
        const length = Math.min(free, 3 + random.below(60));
        if (length >= 3) {
          parts.push(Buffer.of(128 + length - 3), u16(1 + random.below(Math.min(at, 500))));
          at += length;
          continue;
        }
      }
      const length = Math.min(free, 1 + random.below(24));
      parts.push(Buffer.of(length - 1), Buffer.from(Array.from({ length }, pixel)));
      at += length;
    }
    return Buffer.concat(parts);
  };
  const rle = (): Buffer => {
    const runs: number[] = [];
    for (let at = 0; at < width * height; ) {
      const length = Math.min(width * height - at, 1 + random.below(40));
      runs.push(length, pixel());
      at += length;
    }
    return Buffer.from(runs);
  };
  const records = (depth: number): Buffer => {
    const parts: Buffer[] = [];
    for (let n = 1 + random.below(5); n > 0; n--) {
      const type = random.below(depth < 3 ? 4 : 2);
      const text = sentence(random, 30);
      const data =
        type === 0
          ? text
          : type === 1
            ? u32(random.below(100000))
            : type === 2
              ? records(depth + 1)
              : text;
      if (data.length < 200) parts.push(Buffer.of(type, data.length), data);
    }
    return Buffer.concat(parts).subarray(0, depth === 0 ? 4096 : 200);
  };
  const makers: (() => void)[] = [
    () =>
      document.add('PALE', Buffer.from(Array.from({ length: 3 * depth }, () => random.below(256)))),
    () => document.add('LZPX', lz()),
    () => document.add('RLEP', rle()),
    () =>
      document.add(
        'FILT',
        Buffer.from(Array.from({ length: 1 + random.below(5) }, () => random.below(8))),
      ),
    () => document.add('STAT', Buffer.of(random.below(256))),
    () =>
      document.add(
        'DRAW',
        Buffer.concat(
          Array.from({ length: 1 + random.below(20) }, () =>
            Buffer.of(
              random.below(5),
              random.below(256),
              random.below(256),
              random.below(256),
              random.below(256),
            ),
          ),
        ),
      ),
    () => {
      const text = sentence(random, 96);
      document.add('TEXT', Buffer.concat([u16(text.length), text]));
    },
    () => document.add('META', records(0)),
    () =>
      document.add(
        'THMB',
        Buffer.concat([
          Buffer.of(random.below(256)),
          u16(64),
          Buffer.from(Array.from({ length: 64 }, () => random.below(256))),
        ]),
      ),
  ];
  makers[1 + random.below(2)]();
  while (document.chunks.length < chunks) makers[random.below(makers.length)]();
  switch (random.below(12)) {
    case 0:
      document.add('RLEP', Buffer.of(1 + random.below(9), random.below(256)));
      break;
    case 1:
      document.add('NEWS', Buffer.alloc(random.below(60), 32));
      break;
    case 2: {
      const last = document.chunks.at(-1)!;
      last[last.length - 1] ^= 1 + random.below(255);
      break;
    }
  }
  return document;
}

/** @returns a damaged document that does no harm, and what is wrong with it */
export function malformed(random: Random, index: number): { bytes: Buffer; what: string } {
  const document = nominal(random);
  const whole = document.bytes();
  const at = document.chunks.length;
  switch (index % 8) {
    case 0:
      return { what: 'cut off', bytes: whole.subarray(0, 20 + random.below(whole.length - 30)) };
    case 1: {
      const copy = Buffer.from(whole);
      copy[copy.length - 1] ^= 0x5a;
      return { what: 'wrong checksum', bytes: copy };
    }
    case 2:
      return {
        what: 'unknown chunk',
        bytes: document.add('ZZZZ', Buffer.alloc(40, index)).bytes(),
      };
    case 3:
      return {
        what: 'copy from before the picture',
        bytes: document.add('LZPX', Buffer.of(0, 9, 140, 200, 9)).bytes(),
      };
    case 4:
      return {
        what: 'bad records',
        bytes: document.add('META', Buffer.of(0, 3, 65, 66, 67, 1, 250, 1)).bytes(),
      };
    case 5:
      return {
        what: 'unknown commands',
        bytes: document
          .add('FILT', Buffer.of(1, 77))
          .add('DRAW', Buffer.of(9, 1, 2, 3, 4))
          .bytes(),
      };
    case 6:
      return {
        what: 'short chunks',
        bytes: document
          .add('HEAD', Buffer.of(1))
          .add('TEXT', Buffer.of(3))
          .add('THMB', Buffer.of(1))
          .add('TEXT', Buffer.of(90, 0, 65))
          .bytes(),
      };
    default:
      return {
        what: at > 0 && index < 8 ? 'no document' : 'picture is not complete',
        bytes: index < 8 ? Buffer.from('GIF89a') : document.add('RLEP', Buffer.of(5, 1)).bytes(),
      };
  }
}
