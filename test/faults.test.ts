import { expect, test } from 'vitest';
import { missingForFaults } from './faults/injector.ts';
import { canRun, scenarios } from './faults/scenarios.ts';
import { sweep } from './faults/sweep.ts';

// A sample of what `npm run faults` does in full: about twenty operations of each command that takes
// little time, and two kills. `record` reads its emulator's log in thousands of small pieces, and takes
// too long here.
const quick = ['sets', 'stats', 'import'];
const missing = missingForFaults();

test.skipIf(missing !== undefined).each(scenarios.filter(({ name }) => quick.includes(name)))(
  '$name: a failing file operation is refused by name, and the command succeeds when it is repeated',
  async (scenario) => {
    if (!canRun(scenario)) return;
    const faults = await sweep(scenario, { every: 17, offset: 5, kills: false, faults: true });
    expect(faults.findings).toEqual([]);
    // The library was there, and what it does was felt.
    expect(faults.refused).toBeGreaterThan(0);
    const kills = await sweep(scenario, { every: 11, offset: 3, kills: true, faults: false });
    expect(kills.findings).toEqual([]);
  },
  600_000,
);
