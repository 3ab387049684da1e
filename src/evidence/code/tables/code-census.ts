import { Operands } from '../../../x86/operands.ts';
import { Transfer } from '../../../x86/transfer.ts';
import type { ImageMemory } from './image-memory.ts';

/** How much code an image has. */
export interface CodeCensus {
  readonly bytes: number;
  /** Estimated. */
  readonly instructions: number;
  /** Estimated: places that a return may go to. */
  readonly calls: number;
}

const parts = 64;
const partBytes = 1024;

let operands: Operands | undefined;

/** Counts in parts of the executable bytes that lie at equal distances, and scales up. */
export function takeCensus(memory: ImageMemory, is64: boolean): CodeCensus {
  const runs = memory.runs.filter(({ isExecutable }) => isExecutable);
  const bytes = runs.reduce((sum, run) => sum + run.bytes.length, 0);
  operands ??= new Operands();
  let read = 0;
  let instructions = 0;
  let calls = 0;
  for (const run of runs) {
    const share = Math.max(1, Math.round((parts * run.bytes.length) / Math.max(1, bytes)));
    for (let part = 0; part < share; part++) {
      const from = Math.floor((part * run.bytes.length) / share);
      const end = Math.min(from + partBytes, Math.floor(((part + 1) * run.bytes.length) / share));
      for (let at = from; at < end; ) {
        const length = operands.readFlow(run.bytes, at, is64);
        at += Math.max(1, length);
        read += Math.max(1, length);
        if (length === 0) continue;
        instructions++;
        const { transfer } = operands;
        if (transfer === Transfer.call || transfer === Transfer.icall) calls++;
      }
    }
  }
  const scale = read === 0 ? 0 : bytes / read;
  return {
    bytes,
    instructions: Math.round(instructions * scale),
    calls: Math.round(calls * scale),
  };
}
