/** A stretch of a file and where it belongs in the image's own address space. */
export interface Segment {
  /** Address in the image's own space: ELF virtual address, PE RVA, offset in a dump. */
  readonly address: number;
  readonly fileOffset: number;
  /** Bytes that the file gives; never past its end. */
  readonly length: number;
  readonly isExecutable: boolean;
}

export interface ImageSymbol {
  readonly address: number;
  /** 0 where the file does not say. */
  readonly size: number;
  readonly name: string;
  readonly isFunction: boolean;
}

/** An executable file, a library, or a memory dump. */
export interface Image {
  readonly kind: 'elf' | 'pe' | 'raw';
  /** Its file; not set for bytes that came from elsewhere. */
  readonly path?: string;
  readonly bytes: Uint8Array;
  /** What its header says, of a dump too: 32- or 64-bit code. */
  readonly bits: 32 | 64 | undefined;
  readonly segments: readonly Segment[];
  /** Lowest address of the segments. */
  readonly lowest: number;
  /** Read on first use; sorted by address. */
  readonly symbols: () => readonly ImageSymbol[];
}
