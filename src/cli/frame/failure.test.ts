import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { violations } from '../../../test/json-schema.ts';
import { UserError } from '../../base/errors.ts';
import { asksForJson, describeFailure } from './failure.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../../docs/schemas/error.schema.json', import.meta.url), 'utf8'),
) as Parameters<typeof violations>[0];

function systemError(): unknown {
  try {
    return readFileSync('/no/such/file');
  } catch (error) {
    return error;
  }
}

describe('a failure', () => {
  test.each([
    new UserError('bad-options', '--a is wrong\n--b is wrong', { category: 'arguments' }),
    new UserError('not-readable', 'cannot be read', { category: 'input', path: 'a', place: '3' }),
    new UserError('interrupted', 'stopped', { category: 'interrupted' }),
    new TypeError('x is not a function'),
    'a thrown text',
    systemError(),
  ])('%s is told in words and as a document', (error) => {
    const { text, document, code } = describeFailure(error);
    // As it is printed: what is undefined is left out.
    const printed = JSON.parse(JSON.stringify(document));
    expect(violations(schema, printed)).toEqual([]);
    expect(printed.error.exitCode).toBe(code);
    expect(code).toBeGreaterThan(0);
    for (const problem of printed.error.problems) expect(text).toContain(problem);
  });

  test('of the system is none of Wayward, wherever it came through', () => {
    const { text, code } = describeFailure(systemError());
    expect(text).toBe(
      "wayward: the system refused: ENOENT: no such file or directory, open '/no/such/file'\n",
    );
    expect(code).toBe(3);
  });

  test('of Wayward says where, why, and what to do with it', () => {
    const cause = new RangeError('too much');
    const { text } = describeFailure(new Error('internal error: no such table', { cause }));
    expect(text).toMatch(/^wayward: this is a mistake in Wayward itself/);
    expect(text).toContain('Please report it');
    expect(text).toMatch(/^wayward \d+\.\d+\.\d+\S*, Node\.js v\d+/m);
    expect(text).toMatch(/^Error: internal error: no such table\n {4}at .*failure\.test/m);
    expect(text).toMatch(/^caused by RangeError: too much\n {4}at /m);
    expect(text).toContain('SECURITY.md');
  });

  test('a name cannot begin a line of its own', () => {
    const error = new UserError('x', 'is wrong', { category: 'input', path: 'a\nwayward: fine' });
    expect(describeFailure(error).text.split('\n')).toHaveLength(2);
  });
});

test.each([
  [['learn', '--json'], {}, true],
  [['learn', '--jsno'], {}, false],
  [['record', '--', 'jq', '--json'], {}, false],
  [['learn'], { WAYWARD_JSON: 'yes' }, true],
  [['learn'], { WAYWARD_JSON: '0' }, false],
])('%j with %j asks for JSON: %s', (words, environment, expected) => {
  expect(asksForJson(words, environment)).toBe(expected);
});
