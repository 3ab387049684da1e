import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { AddressSpace } from '../../../image/address-space.ts';
import { LiveRun, type LiveSetup } from './live-run.ts';
import type { Judgement } from './outcome.ts';

/** What is judged at a time: whoever waits for the judge meanwhile waits for that. */
const pieceBytes = 1 << 15;

/**
 * Judges a run that has ended as a whole, with all that is known of its code by now, as `judge` does: one thread after
 * the other.
 *
 * @param space  all that it ever mapped, and made
 * @param sample  folder with its traces, not compressed
 * @param threads  how many there are
 * @param inTurn  is given pieces of work, and does what else is to be done between them
 */
export async function judgeWhole(
  setup: LiveSetup,
  space: AddressSpace,
  sample: string,
  threads: number,
  inTurn: (work: () => void) => Promise<void>,
): Promise<Judgement> {
  const run = new LiveRun(setup, space, () => {});
  const buffer = Buffer.alloc(pieceBytes);
  for (let thread = 0; thread < threads; thread++) {
    const file = await open(join(sample, `trace_${thread}`));
    try {
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, pieceBytes);
        if (bytesRead === 0) break;
        const bytes = new Uint8Array(buffer.subarray(0, bytesRead));
        await inTurn(() => run.push(thread, bytes));
      }
    } finally {
      await file.close();
    }
    run.endThread(thread);
  }
  run.end();
  const { verdict, pValue, score } = run.outcome;
  return { verdict, pValue, score };
}
