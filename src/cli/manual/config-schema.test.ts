import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { violations } from '../../../test/json-schema.ts';
import { commands } from '../commands.ts';
import { commonOptions } from '../frame/common-options.ts';
import { grammarOf } from '../frame/grammar.ts';
import { defaultOf, flagsOf } from '../frame/option.ts';
import { settleOptions } from '../frame/settings.ts';
import { configSchema } from './config-schema.ts';

const loaded = await Promise.all(
  commands.map(async (entry) => ({ ...entry, command: await entry.load() })),
);
const schema = configSchema(loaded);
type Schema = Parameters<typeof violations>[0];
const broken = (config: unknown): string[] => violations(schema as Schema, config);

test('the published schema is that of the options as they are: npm run manual', () => {
  const path = new URL('../../../docs/schemas/wayward.config.schema.json', import.meta.url);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(JSON.parse(JSON.stringify(schema)));
});

test('it takes what options have as defaults, and what is settled from that is the default', () => {
  for (const { command, ...entry } of loaded) {
    const options = [...command.options, ...commonOptions];
    const section = Object.fromEntries(
      options.flatMap((option) => {
        const value = option.shown === undefined ? defaultOf(option) : undefined;
        return value === undefined ? [] : [[flagsOf(option).key, value]];
      }),
    );
    expect(broken({ [entry.name]: section }), entry.name).toEqual([]);
    const problems: string[] = [];
    const nothing = { said: new Map(), environment: {}, defaults: {} };
    const { options: all } = grammarOf(entry, command);
    const settled = settleOptions(all, { ...nothing, configured: section }, problems);
    expect(problems, entry.name).toEqual([]);
    expect(settled, entry.name).toMatchObject(section);
  }
});

describe('it refuses', () => {
  test.each([
    [{ fqr: 0.1 }],
    [{ judge: { epochs: 3 } }],
    [{ judge: { exitCode: 'perhaps' } }],
    [{ learn: { model: 'gru' } }],
    [{ learn: { filter: ['rett'] } }],
    [{ judge: { binDir: [1] } }],
  ])('%j', (config) => {
    expect(broken(config)).not.toEqual([]);
  });
});

test.each([
  [{ $schema: 'wayward.config.schema.json', fpr: 0.01 }],
  [{ learn: { binDir: ['a', 'b'], filter: ['ret'], epochs: 3, logLevel: 'debug' } }],
  [{ queue: 'redis://localhost', progress: false }],
])('it takes %j', (config) => {
  expect(broken(config)).toEqual([]);
});
