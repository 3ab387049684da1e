import type { Figure } from './figures.ts';

/** What came of one benchmark. */
export interface Measured {
  readonly name: string;
  readonly failed: boolean;
  readonly seconds: number;
  /** Others had so much of the machine that its times are not to be believed. */
  readonly isTooBusy: boolean;
  readonly figures: readonly Figure[];
}

/** @returns Markdown: a row for each figure, with its ratio to the peer where it has one, and whether its goal is reached */
export function tableOf(measured: readonly Measured[]): string {
  return [
    '| | figure | measured | peer | ratio | goal |',
    '|---|---|---|---|---|---|',
    ...measured.flatMap(rowsOf),
  ].join('\n');
}

function rowsOf({ name, failed, figures, isTooBusy }: Measured): readonly string[] {
  const title = isTooBusy ? `${name} (busy machine)` : name;
  if (failed) return [`| ${title} | failed | | | | |`];
  if (figures.length === 0) return [`| ${title} | nothing measured | | | | |`];
  return figures.map((figure, i) => {
    const { value, unit, peer, goal } = figure;
    const ratio = peer === undefined ? undefined : value / peer.value;
    const cells = [
      i === 0 ? title : '',
      figure.name,
      `${short(value)} ${unit}`,
      peer === undefined ? '' : `${peer.name}: ${short(peer.value)}`,
      ratio === undefined ? '' : short(ratio),
      goal === undefined ? '' : verdictOn(goal, ratio ?? value),
    ];
    return `| ${cells.join(' | ')} |`;
  });
}

function verdictOn(goal: NonNullable<Figure['goal']>, value: number): string {
  const [words, isReached] =
    'least' in goal
      ? [`>= ${goal.least}`, value >= goal.least]
      : [`<= ${goal.most}`, value <= goal.most];
  return isReached ? words : `${words}: missed`;
}

/** @returns three digits that tell, and no more */
function short(value: number): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(digits, 3));
}

const heading = '## History';

/** @returns the document with a table as the newest of its history, which comes last in it */
export function historyWith(document: string, machine: string, table: string): string {
  const start = document.indexOf(`\n${heading}\n`);
  const before = start < 0 ? document.trimEnd() : document.slice(0, start).trimEnd();
  const older = start < 0 ? '' : document.slice(start + heading.length + 2).trim();
  const kept = older === '' ? [] : [older];
  return `${[before, heading, `**${machine}**`, table, ...kept].join('\n\n')}\n`;
}
