import { keysOf } from './values.ts';

/** What a run is known to be; `unknown` where nobody has said. */
export type Label = 'nominal' | 'anomalous' | 'unknown';

/** How people write labels, in info.txt, file names and options. */
export type LabelWord = 'benign' | 'malicious' | 'unknown';

export const labelWords: readonly LabelWord[] = ['benign', 'malicious', 'unknown'];

const words: Readonly<Record<Label, LabelWord>> = {
  nominal: 'benign',
  anomalous: 'malicious',
  unknown: 'unknown',
};

export function wordOf(label: Label): LabelWord {
  return words[label];
}

/** @returns `undefined` for other words */
export function labelOf(word: string): Label | undefined {
  return keysOf(words).find((label) => words[label] === word);
}
