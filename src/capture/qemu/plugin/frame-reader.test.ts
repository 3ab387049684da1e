import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../../base/errors.ts';
import { Transfer } from '../../../x86/transfer.ts';
import { parseHello } from '../guarded/guest.ts';
import { Recording } from '../recording.ts';
import { FrameReader } from './frame-reader.ts';
import { readTail, tailHeaderBytes } from './tail.ts';

function frame(type: number, cpu: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(type, 0);
  header.writeUInt32LE(cpu, 4);
  header.writeUInt32LE(body.length, 8);
  return Buffer.concat([header, body]);
}

/** A translation block of `nop`s and a `jmp` to its own start. */
function translation(id: number, start: number): Buffer {
  const code = Buffer.from([0x90, 0xeb, 0xfd]);
  const body = Buffer.alloc(32);
  body.writeBigUInt64LE(BigInt(start), 0);
  body.writeBigUInt64LE(BigInt(start), 8);
  body.writeUInt32LE(id, 16);
  body.writeUInt32LE(code.length, 20);
  body.writeUInt32LE(1, 24);
  body.writeUInt32LE(Transfer.jmp, 28);
  return frame(2, 0, Buffer.concat([body, code]));
}

function blocks(cpu: number, ...ids: readonly number[]): Buffer {
  return frame(1, cpu, Buffer.from(Uint32Array.from(ids).buffer));
}

/** Packets of blocks, as many translation blocks as basic ones. */
function trace(count: number, bytes: Uint8Array, blockCount: number = count): Buffer {
  const counts = Buffer.from(Uint32Array.of(count, blockCount, 0, 0).buffer);
  return frame(8, 0, Buffer.concat([counts, bytes]));
}

/** The trace stands at its beginning, whatever was sent. */
function tailOf(sent: number, ...ids: readonly number[]): ReturnType<typeof readTail> {
  const header = Buffer.alloc(tailHeaderBytes);
  header.writeUInt32LE(ids.length, 0);
  header.writeUInt32LE(sent, 4);
  const encoder = Buffer.alloc(560);
  encoder.writeUInt32LE(0xffff_ffff, 0);
  const rest = Buffer.from(Uint32Array.from(ids).buffer);
  return readTail(Buffer.concat([header, encoder, encoder, rest]));
}

const limits = { bitness: 64, compressReturns: true, maxBlocks: Number.MAX_SAFE_INTEGER } as const;

function newReader(): { reader: FrameReader; seen: number[] } {
  const seen: number[] = [];
  const recording = new Recording({ ...limits, onBlock: (address) => seen.push(address) });
  return { reader: new FrameReader(recording, () => undefined, { sendsIds: true }), seen };
}

/** Reads packets that were made by the plugin. */
function newTraceReader(): { reader: FrameReader; recording: Recording; bytes: () => string } {
  const parts: Uint8Array[] = [];
  const recording = new Recording({ ...limits, onTrace: (part) => void parts.push(part) });
  const reader = new FrameReader(recording, () => undefined);
  reader.add(start);
  return { reader, recording, bytes: () => Buffer.concat(parts).toString('hex') };
}

const start = Buffer.concat([translation(0, 0x1000), translation(1, 0x2000)]);

describe('frames of the plugin', () => {
  test('are read however they are cut', () => {
    const bytes = Buffer.concat([start, blocks(0, 0, 1, 0), blocks(0, 1)]);
    for (const cut of [1, 7, bytes.length]) {
      const { reader, seen } = newReader();
      for (let at = 0; at < bytes.length; at += cut) reader.add(bytes.subarray(at, at + cut));
      expect(seen).toEqual([0x1000, 0x2000, 0x1000, 0x2000]);
    }
  });

  test('that were read ahead from a tail are not read twice', () => {
    const { reader, seen } = newReader();
    reader.add(start);
    expect(reader.addTail(0, tailOf(0, 0, 1))).toBe(2);
    expect(reader.addTail(0, tailOf(0, 0, 1))).toBe(0);
    expect(reader.addTail(0, tailOf(0, 0, 1, 1))).toBe(1);
    // Of a frame that has been sent, or that is older, the tail says nothing.
    expect(reader.addTail(0, tailOf(1, 0))).toBe(0);
    reader.add(blocks(0, 0, 1, 1, 0));
    expect(reader.addTail(0, tailOf(0, 0, 1, 1, 0))).toBe(0);
    expect(reader.addTail(0, tailOf(1, 1))).toBe(1);
    expect(seen).toEqual([0x1000, 0x2000, 0x2000, 0x1000, 0x2000]);
  });

  test('with packets that were read ahead are not read twice', () => {
    const whole = newTraceReader();
    whole.reader.addTail(0, tailOf(0, 0, 1, 1, 0, 0));
    const packets = Buffer.from(whole.bytes(), 'hex');
    expect(whole.recording.blocks).toBe(5);
    const { reader, recording, bytes } = newTraceReader();
    expect(reader.addTail(0, tailOf(0, 0, 1))).toBe(2);
    expect(reader.addTail(0, tailOf(0, 0, 1))).toBe(0);
    expect(reader.addTail(0, tailOf(0, 0, 1, 1))).toBe(1);
    expect(recording.blocks).toBe(3);
    reader.add(trace(5, packets));
    expect(bytes()).toBe(packets.toString('hex'));
    expect(recording.blocks).toBe(5);
    expect(reader.executed).toBe(5);
    expect(reader.addTail(0, tailOf(0, 0, 1, 1, 0, 0))).toBe(0);
  });

  test('end with what a tail has, however far the sending of it had come', () => {
    const ids = [0, 1, 1, 0, 0];
    const ended = newTraceReader();
    ended.reader.endTail(0, tailOf(0, ...ids), true);
    const whole = ended.bytes();
    const ahead = newTraceReader();
    ahead.reader.addTail(0, tailOf(0, ...ids));
    const packets = Buffer.from(ahead.bytes(), 'hex');
    ahead.reader.endTail(0, tailOf(0, ...ids), true);
    expect(ahead.bytes()).toBe(whole);
    const sent = newTraceReader();
    sent.reader.add(trace(5, packets));
    sent.reader.endTail(0, tailOf(0, ...ids), true);
    expect(sent.bytes()).toBe(whole);
    expect(sent.recording.blocks).toBe(5);
    const old = newTraceReader();
    old.reader.endTail(0, tailOf(7, ...ids), true);
    expect(old.bytes()).toBe('');
  });

  test('say up to which unmapping of code all is read that a CPU ran before it', () => {
    const { reader, recording } = newTraceReader();
    expect(reader.pastOf(0)).toBeUndefined();
    const unmap = (start: number): void => {
      recording.map.map(start, start + 0x1000, 5, 0, '/lib/one.so');
      recording.map.unmap(start, start + 0x1000);
    };
    unmap(0x5000_0000);
    reader.add(trace(1, Buffer.of(0)));
    expect(reader.pastOf(0)).toBe(1);
    unmap(0x6000_0000);
    expect(reader.pastOf(0)).toBe(1);
    // A frame is under way that may hold what ran before.
    expect(reader.catchUp(0, tailOf(2))).toBe(false);
    expect(reader.pastOf(0)).toBe(1);
    expect(reader.catchUp(0, tailOf(1, 0, 1))).toBe(true);
    expect(reader.pastOf(0)).toBe(2);
    expect(recording.blocks).toBe(3);
    // One that never ran, or has ended; one that has begun and sent nothing.
    expect(reader.catchUp(1, tailOf(7))).toBe(true);
    expect(reader.catchUp(1, tailOf(0, 1))).toBe(true);
    expect(recording.blocks).toBe(4);
  });

  test('that take packets back are damage', () => {
    const { reader } = newTraceReader();
    reader.addTail(0, tailOf(0, 0, 1));
    expect(() => reader.add(trace(2, new Uint8Array(3)))).toThrow(UserError);
  });

  test.each([
    ['with more blocks than ran', trace(1, new Uint8Array(9), 2)],
    ['that end in no way that blocks do', Buffer.concat([translation(2, 0x3000).fill(9, 44, 48)])],
    ['of no type', frame(99, 0, Buffer.alloc(0))],
    ['that never end', Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0])],
    ['of no CPU', blocks(5000, 0)],
    ['with blocks that nobody knows', blocks(0, 7)],
    ['with a part of a block', frame(1, 0, Buffer.alloc(3))],
    ['that translate out of order', translation(9, 0x3000)],
    ['with code in no address space', translation(2, 2 ** 63)],
    ['of calls that are cut', frame(3, 0, Buffer.alloc(8))],
  ])('%s are damage', (_, bytes) => {
    const { reader } = newReader();
    reader.add(start);
    expect(() => reader.add(bytes)).toThrow(UserError);
  });

  test('of any bytes end in events or in damage, and tails in whole blocks', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 64 }),
            fc.tuple(fc.integer({ min: 0, max: 9 }), fc.nat(4), fc.uint8Array({ maxLength: 120 })),
          ),
          { maxLength: 8 },
        ),
        fc.uint8Array({ maxLength: 2000 }),
        fc.boolean(),
        (pieces, tail, sendsIds) => {
          const { reader } = sendsIds ? newReader() : newTraceReader();
          if (sendsIds) reader.add(start);
          try {
            for (const piece of pieces) {
              reader.add(
                piece instanceof Uint8Array
                  ? Buffer.from(piece)
                  : frame(piece[0], piece[1], Buffer.from(piece[2])),
              );
            }
            reader.addTail(0, readTail(tail));
            reader.endTail(0, readTail(tail), false);
            reader.finish();
          } catch (error) {
            expect(error).toMatchObject({ name: 'UserError', code: 'recording-damaged' });
          }
        },
      ),
      { numRuns: 2000, seed: 5 },
    );
  });
});

describe('who connects', () => {
  test('is told by its greeting', () => {
    expect(parseHello('12 7 0 0 12-1a2b- ')).toEqual({
      ...{ pid: 12, parentPid: 7, known: 0, bitness: 64, prefix: '12-1a2b-', parent: '' },
    });
    expect(parseHello('12 7 5 1 12-1a2b- 7-ff-')).toMatchObject({ bitness: 32, parent: '7-ff-' });
  });

  test.each(['', '1 2 3 0 ../../etc- ', '1 2 3 0 12-1a2b/- ', '1 2 3 4 12-1- ', 'x'.repeat(300)])(
    'says nothing else: "%s"',
    (text) => expect(parseHello(text)).toBeUndefined(),
  );
});
