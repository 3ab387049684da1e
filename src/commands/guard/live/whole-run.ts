import { join } from 'node:path';
import { FileBytes } from '../../../base/files/file-bytes.ts';
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
 * @throws UserError `not-readable`
 */
export async function judgeWhole(
  setup: LiveSetup,
  space: AddressSpace,
  sample: string,
  threads: number,
  inTurn: (work: () => void) => Promise<void>,
): Promise<Judgement> {
  const run = new LiveRun(setup, space, () => {});
  for (let thread = 0; thread < threads; thread++) {
    const trace = await FileBytes.open(join(sample, `trace_${thread}`));
    try {
      for (let at = 0; at < trace.length; at += pieceBytes) {
        const bytes = await trace.read(at, pieceBytes);
        await inTurn(() => run.push(thread, bytes));
      }
    } finally {
      await trace.close();
    }
    run.endThread(thread);
  }
  run.end();
  const { verdict, pValue, score } = run.outcome;
  return { verdict, pValue, score };
}
