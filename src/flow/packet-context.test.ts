import { expect, test } from 'vitest';
import { PacketContext, Reset } from './packet-context.ts';

const pausedAt = { ip: 3, node: 4, isEvent: true };

function full(): PacketContext {
  return Object.assign(new PacketContext(), {
    isSynchronized: true,
    inPsb: true,
    statusIp: 1,
    fup: 2,
    isAbort: true,
    fupIsBound: true,
    afterOverflow: true,
    isOff: true,
    leftByBranch: true,
    pausedAt,
    itemBytes: 5,
  });
}

/** Names of what an event ends. */
function endedBy(event: keyof typeof Reset): string[] {
  const [before, after] = [{ ...full() }, full()];
  after.reset(Reset[event]);
  const names = Object.keys(before) as (keyof PacketContext)[];
  return names.filter((name) => name !== 'reset' && before[name] !== { ...after }[name]).sort();
}

test('a loss ends all that packets said', () => {
  const context = full();
  context.reset(Reset.loss);
  expect({ ...context }).toEqual({ ...new PacketContext() });
});

test.each([
  ['psb', ['fupIsBound', 'statusIp']],
  ['psbEnd', ['inPsb']],
  ['tipPge', ['afterOverflow', 'fup', 'fupIsBound', 'isAbort']],
  ['tipPgd', ['fup', 'fupIsBound', 'isAbort']],
  ['settled', ['fup', 'isAbort']],
  ['restart', ['afterOverflow', 'isOff', 'leftByBranch']],
  ['resume', ['isOff', 'leftByBranch', 'pausedAt']],
  // What lies before the overflow is over, but it is known where packets begin.
  [
    'ovf',
    ['fup', 'fupIsBound', 'inPsb', 'isAbort', 'isOff', 'itemBytes', 'leftByBranch', 'pausedAt'],
  ],
] as const)('%s ends %j and nothing else', (event, ends) => {
  expect(endedBy(event)).toEqual(ends);
});
