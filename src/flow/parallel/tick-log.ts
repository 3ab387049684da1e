import { enlarged } from '../../base/bytes/typed-array.ts';
import type { TraceClock } from '../../pt/clock.ts';
import { Ext, Opcode, packetLength } from '../../pt/packet.ts';

/**
 * Keeps the packets that tell the time, for a clock that knows those before them. Its own time is their number:
 * times in a piece are told as how many of them came before.
 */
export class TickLog implements TraceClock {
  time = 0;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(1 << 10);
  #length = 0;

  packet(bytes: Uint8Array, offset: number): void {
    const length = packetLength(bytes, offset, bytes.length);
    this.#makeRoom(length);
    for (let i = 0; i < length; i++) this.#bytes[this.#length++] = bytes[offset + i];
    this.time++;
  }

  lose(): void {
    this.#makeRoom(2);
    this.#bytes[this.#length++] = Opcode.ext;
    this.#bytes[this.#length++] = Ext.ovf;
    this.time++;
  }

  /** Time begins anew at 0. */
  reset(): void {
    this.time = 0;
    this.#length = 0;
  }

  /** Forgets the packets so far. They count on. */
  drop(): void {
    this.#length = 0;
  }

  /** @returns the packets since `drop` */
  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #makeRoom(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    this.#bytes = enlarged(this.#bytes, this.#bytes.length * 2);
  }
}
