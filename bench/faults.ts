import { availableParallelism } from 'node:os';
import { missingForFaults } from '../test/faults/injector.ts';
import { canRun, scenarios } from '../test/faults/scenarios.ts';
import { type Sweep, sweep } from '../test/faults/sweep.ts';

// Every file operation of the main commands fails once in each way in which it can, and everything is
// killed at each that changes something:
//
//   npm run faults [-- NAME...] [--sites] [--every=N] [--offset=K] [--no-kills] [--no-faults] [--one]
//
// --sites takes of operations that do the same to files of a kind the first and the last only, which is a
// tenth to a half of them; --every, of those that are left, each N-th; --one works on one command at a time.

const words = process.argv.slice(2);
const numberOf = (flag: string, otherwise: number): number => {
  const word = words.find((word) => word.startsWith(`--${flag}=`));
  return word === undefined ? otherwise : Number(word.slice(flag.length + 3));
};
const wanted = words.filter((word) => !word.startsWith('--'));
const missing = missingForFaults();
if (missing !== undefined) {
  console.error(missing);
  process.exit(2);
}

const chosen = scenarios.filter(
  ({ name }) => wanted.length === 0 || wanted.some((word) => name.includes(word)),
);
const results: Sweep[] = [];
let next = 0;
const worker = async (): Promise<void> => {
  while (next < chosen.length) {
    const scenario = chosen[next++];
    if (scenario === undefined) return;
    if (!canRun(scenario)) {
      console.log(`${scenario.name}: left out, ${scenario.needs} is not here`);
      continue;
    }
    let last = performance.now();
    const result = await sweep(scenario, {
      ...{ every: numberOf('every', 1), offset: numberOf('offset', 0) },
      sites: words.includes('--sites'),
      ...{ kills: !words.includes('--no-kills'), faults: !words.includes('--no-faults') },
      onFinding: (finding) => console.log(finding),
      onPoint: (done, total, found) => {
        if (performance.now() - last < 30_000) return;
        last = performance.now();
        console.error(`${scenario.name}: ${done} of ${total}, ${found} findings`);
      },
    });
    results.push(result);
    console.log(
      `${result.scenario}: ${result.operations} operations, ${result.tried} of ${result.points} points, ${result.refused} refused, ${result.endured} endured, ${result.kills} kills, ${result.findings.length} findings`,
    );
  }
};
const width = words.includes('--one') ? 1 : Math.max(1, availableParallelism() >> 1);
await Promise.all(Array.from({ length: width }, worker));
const sum = (of: (result: Sweep) => number): number => results.reduce((n, r) => n + of(r), 0);
console.log(
  `all: ${sum((r) => r.operations)} operations, ${sum((r) => r.refused + r.endured)} faults (${sum((r) => r.refused)} refused, ${sum((r) => r.endured)} endured), ${sum((r) => r.kills)} kills, ${sum((r) => r.findings.length)} findings`,
);
process.exitCode = results.some(({ findings }) => findings.length > 0) ? 1 : 0;
