import { Calibration, calibrationError } from '../../model/calibration.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { Ngram } from '../../model/ngram/ngram.ts';
import { windowsOf } from '../../sequences/classify-windows.ts';
import { hashWindow, WindowCounter } from '../../sequences/window-counter.ts';
import type { WindowSet } from '../../sequences/windows.ts';
import type { Sample } from '../../trace/sample.ts';

/** Every this many training traces one tells what confidences are worth. */
const heldOutEvery = 10;
/** Fewer traces tell too little. */
const fewestHeldOut = 2;

/**
 * Learns what the confidences of an n-gram are worth: a copy that is fitted without every tenth
 * training trace predicts those. They are read twice; calibration and test traces stay untouched.
 *
 * @param windows  those of all training traces
 * @param read  reads the windows of some of them again
 */
export async function calibrateNgram(
  model: Ngram,
  windows: WindowSet,
  samples: readonly Sample[],
  read: (samples: readonly Sample[]) => Promise<WindowSet>,
  context: RunContext,
): Promise<Ngram> {
  const heldOut = samples.filter((_, index) => index % heldOutEvery === heldOutEvery - 1);
  const { smoothing, seed, parts } = model.table;
  // What is drawn without smoothing has the share that it was seen with as its confidence.
  if (smoothing === 'none' || heldOut.length < fewestHeldOut) return model;
  const held = await read(heldOut);
  const rest = withoutWindows(windows, held);
  if (rest.length === 0) return model;
  const order = parts.lengths[parts.lengths.length - 1];
  const options = { smoothing, order, seed };
  const copy = Ngram.fit(rest, model.inputClasses, model.outputClasses, options);
  const { predicted, confidence } = await copy.predict(held, context);
  const isRight = predicted.map((target, i) => (target === held.targets[i] ? 1 : 0));
  const calibration = Calibration.fit(confidence, isRight, held.counts);
  const error = calibrationError(confidence, isRight, held.counts);
  context.log.log(
    'info',
    `confidences set right by ${heldOut.length} training traces held out; their calibration error was ${error.toFixed(4)}`,
  );
  return model.calibrated(calibration);
}

/** @param part  windows that are all among `whole`, as often or less often */
function withoutWindows(whole: WindowSet, part: WindowSet): WindowSet {
  const n = whole.windowLength;
  const left = new WindowCounter(n);
  const add = (set: WindowSet, factor: number): void => {
    for (let i = 0; i < set.length; i++) {
      const hash = hashWindow(set.symbols, i * n, n);
      left.add(set.symbols, i * n, hash, set.targets[i], factor * set.counts[i]);
    }
  };
  add(whole, 1);
  add(part, -1);
  left.retain((index) => left.counts[index] > 0);
  return windowsOf(left);
}
