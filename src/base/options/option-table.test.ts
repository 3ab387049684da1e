import { expect, test } from 'vitest';
import { integer, type Option, text } from './option.ts';
import { optionsOf, type Settled, settle, withoutSecrets } from './option-table.ts';

class Table {
  readonly root: Option<string> = { help: 'where', default: '.' };
  readonly epochs: Option<number, Settled<Table>> = {
    flags: '--epochs <n>',
    help: 'passes',
    parse: integer(1),
    default: ({ network }) => 2 * network.layers,
  };
  readonly 'network.units': Option<number> = { help: 'cells', default: 128 };
  readonly 'network.layers': Option<number> = { help: 'LSTMs', default: 3 };
  readonly store: Option<string | undefined> = {
    flags: '--store <url>',
    help: 'Redis',
    parse: text,
    default: undefined,
    isSecret: true,
  };
}
const table = new Table();

test('what is said holds, the rest is filled in, and what follows from others follows', () => {
  const network = { units: 128, layers: 3 };
  expect(settle(table, {})).toEqual({ root: '.', epochs: 6, network, store: undefined });
  const given = { root: 'a', network: { layers: 4, units: undefined } };
  expect(settle(table, given)).toEqual({
    root: 'a',
    epochs: 8,
    network: { units: 128, layers: 4 },
    store: undefined,
  });
  expect(settle(table, { epochs: 1 }).epochs).toBe(1);
});

test('what no option is called is left out, such as options of another release', () => {
  const old = { root: 'a', forgotten: 1 } as { root: string };
  expect(Object.keys(settle(table, old)).sort()).toEqual(['epochs', 'network', 'root', 'store']);
});

test('a record holds every option but the secret ones', () => {
  const record = withoutSecrets(table, settle(table, { store: 'redis://:secret@host' }));
  expect(JSON.stringify(record)).not.toContain('secret');
  expect(settle(table, record)).toEqual(settle(table, {}));
});

test('the keys of a table are in its order', () => {
  expect(optionsOf(table).map(([key]) => key)).toEqual([
    'root',
    'epochs',
    'network.units',
    'network.layers',
    'store',
  ]);
});
