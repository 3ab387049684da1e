import { describe, expect, test } from 'vitest';
import { chooseProfile } from './guard-profiles.ts';

const profiles = [
  { path: 'a.wayward', programs: ['reader', 'shared'] },
  { path: 'b.wayward', programs: ['writer', 'shared'] },
];

describe('the profile of a program', () => {
  test('is the first one for what is guarded, whatever its name is, where that was named by itself', () => {
    const list = { profiles, isFirstChosen: true };
    for (const program of ['/bin/reader', '/bin/writer', '/bin/other', '/bin/shared']) {
      expect(chooseProfile(list, program, true)).toEqual({ index: 0, path: 'a.wayward' });
    }
  });

  test.each([true, false])('is that of its name, in a folder and for children', (isFirst) => {
    const list = { profiles, isFirstChosen: false };
    const choose = (program: string) => chooseProfile(list, program, isFirst);
    expect(choose('/bin/writer')).toEqual({ index: 1, path: 'b.wayward' });
    expect(choose('/bin/other')).toEqual({ index: undefined, why: 'no profile is of it' });
    expect(choose('/bin/shared')).toEqual({
      ...{ index: undefined, why: 'several profiles are of it: a.wayward and b.wayward' },
    });
  });
});
