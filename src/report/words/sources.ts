/** What three sources said of one transfer. */
export interface SourceWords {
  /** What the code says of the target that came: a name of `targetSorts`. */
  readonly sort: string;
  /** How many targets of that sort the code allows. */
  readonly allowed: number;
  /** Targets that training saw at this place, and in how many runs the one that came. */
  readonly trainedTargets: number;
  readonly trainedRuns: number;
  /** How often this run had gone there before; at most 8. */
  readonly shown: number;
  /** Surprise; and at the scale of what nominal runs showed at the place. */
  readonly nats: number;
  readonly scaled: number;
}

const mostShown = 8;

/** `one of 14 cases that the code allows; training saw 2 targets here, not this one; this run never: 9.3 nats` */
export function sourcesInWords(words: SourceWords): string {
  const { trainedTargets, trainedRuns, shown, nats, scaled } = words;
  const training =
    trainedTargets === 0
      ? 'training never saw this place run'
      : `training saw ${count(trainedTargets, 'target')} here, ${trainedRuns === 0 ? 'not this one' : `this one in ${count(trainedRuns, 'run')}`}`;
  const run =
    shown === 0
      ? 'this run never went there before'
      : `this run did ${shown >= mostShown ? `${mostShown} times or more` : count(shown, 'time')} before`;
  // Where nominal runs were never surprised, a nat is a nat.
  const isScaled = nats - scaled > 0.05;
  const where = isScaled ? `, ${scaled.toFixed(1)} at the scale of this place` : '';
  return `${codeInWords(words)}; ${training}; ${run}: ${nats.toFixed(1)} nats${where}`;
}

function codeInWords({ sort, allowed }: SourceWords): string {
  switch (sort) {
    case 'named':
      return `one of ${count(allowed, 'target')} that the code names`;
    case 'position':
      return `one of ${count(allowed, 'function')} that tables hold at this position`;
    case 'label':
      return `one of ${count(allowed, 'place')} of its function whose address is taken`;
    case 'function':
      return 'another place of the same function';
    case 'arguments':
      return `one of ${count(allowed, 'function')} whose address is taken and whose arguments fit`;
    case 'taken':
      return `one of ${count(allowed, 'function')} whose address is taken`;
    case 'exported':
      return 'a function to which only its name leads';
    case 'entry':
      return 'a function to which nothing refers';
    case 'instruction':
      return 'an instruction inside a function';
    case 'anywhere':
      return 'nothing that the code allows';
    case 'not-a-call':
      return 'a return that does not go back to a call';
    default:
      return 'no image tells what the code allows';
  }
}

function count(n: number, noun: string): string {
  return `${n.toLocaleString('en-US')} ${noun}${n === 1 ? '' : 's'}`;
}
