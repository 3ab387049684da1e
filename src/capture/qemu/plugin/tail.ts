/** Bytes before the ids of `struct tail` in `plugin.c`. */
export const tailHeaderBytes = 240;
export const mostTailIds = 16384;

/** What a CPU ran that has not been sent, from the file that it shares with the reader. */
export interface Tail {
  /** Frames of blocks that were sent before. */
  readonly sent: number;
  readonly ids: Uint32Array;
}

/** @param bytes  of the file, whatever it holds */
export function readTail(bytes: Uint8Array): Tail {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < tailHeaderBytes) return { sent: 0, ids: new Uint32Array(0) };
  const room = Math.min(mostTailIds, Math.floor((bytes.length - tailHeaderBytes) / 4));
  const count = Math.min(view.getUint32(0, true), room);
  const ids = Uint32Array.from({ length: count }, (_, i) =>
    view.getUint32(tailHeaderBytes + 4 * i, true),
  );
  return { sent: view.getUint32(4, true), ids };
}
