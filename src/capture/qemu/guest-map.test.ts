import { expect, test } from 'vitest';
import { parseMemoryMap } from '../../image/maps/memory-map.ts';
import { GuestMap } from './guest-map.ts';

const page = 0x1000;

test('holds no data that is mapped and unmapped for ever, each time elsewhere', () => {
  const map = new GuestMap();
  map.map(0x40_0000, 0x40_2000, 5, 0, '/bin/program');
  const before = map.text();
  for (let i = 1; i <= 1000; i++) {
    const start = 0x7000_0000 + i * 4 * page;
    map.map(start, start + page, 3, 0, '');
    map.map(start + page, start + 2 * page, 1, 0, '/var/data');
    map.unmap(start, start + 2 * page);
  }
  expect(map.text()).toBe(before);
});

test('keeps what was loaded for code when it is unmapped, until something else lies there', () => {
  const map = new GuestMap();
  map.map(0x5000_0000, 0x5000_2000, 1, 0, '/lib/one.so');
  map.map(0x5000_2000, 0x5000_4000, 5, 0x2000, '/lib/one.so');
  map.map(0x5000_4000, 0x5000_5000, 3, 0x4000, '/lib/one.so');
  map.map(0x5000_5000, 0x5000_6000, 3, 0, '');
  // Code that a program made.
  map.map(0x6000_0000, 0x6000_1000, 5, 0, '');
  const version = map.codeVersion;
  map.unmap(0x5000_0000, 0x5000_6000);
  map.unmap(0x6000_0000, 0x6000_1000);
  expect(map.codeVersion).toBe(version);
  expect(map.text()).toBe(
    [
      '50000000-50002000 r--p 00000000 00:00 0 /lib/one.so',
      '50002000-50004000 r-xp 00002000 00:00 0 /lib/one.so',
      '50004000-50005000 rw-p 00004000 00:00 0 /lib/one.so',
      '60000000-60001000 r-xp 00000000 00:00 0\n',
    ].join('\n'),
  );
  map.map(0x5000_2000, 0x5000_4000, 5, 0x1000, '/lib/two.so');
  expect(map.find(0x5000_2000)?.path).toBe('/lib/two.so');
});

test('tells what is mapped without what is gone', () => {
  const map = new GuestMap();
  const one = '50000000-50002000 r-xp 00000000 00:00 0 /lib/one.so\n';
  const two = '60000000-60002000 r-xp 00000000 00:00 0 /lib/two.so\n';
  map.map(0x5000_0000, 0x5000_2000, 5, 0, '/lib/one.so');
  map.map(0x6000_0000, 0x6000_2000, 5, 0, '/lib/two.so');
  map.unmap(0x5000_0000, 0x5000_2000);
  expect(map.unmaps).toBe(1);
  map.map(0x7000_0000, 0x7000_1000, 3, 0, '');
  map.unmap(0x7000_0000, 0x7000_1000);
  // Of data nobody wants to know.
  expect(map.unmaps).toBe(1);
  map.unmap(0x6000_0000, 0x6000_2000);
  expect([map.text(), map.text(1), map.text(2)]).toEqual([one + two, two, '']);
  expect(map.codeFiles).toEqual(['/lib/one.so', '/lib/two.so']);
  const copy = map.copy();
  map.map(0x5000_1000, 0x5000_3000, 5, 0, '/lib/three.so');
  expect(map.text()).toBe(
    [
      '50000000-50001000 r-xp 00000000 00:00 0 /lib/one.so',
      '50001000-50003000 r-xp 00000000 00:00 0 /lib/three.so',
      '60000000-60002000 r-xp 00000000 00:00 0 /lib/two.so\n',
    ].join('\n'),
  );
  expect([copy.text(), copy.text(1)]).toEqual([one + two, two]);
});

test('takes only the part out that is unmapped', () => {
  const map = new GuestMap();
  map.map(0x7000_0000, 0x7000_4000, 3, 0, '');
  map.unmap(0x7000_1000, 0x7000_2000);
  expect(map.find(0x7000_0000)?.end).toBe(0x7000_1000);
  expect(map.find(0x7000_1000)).toBeUndefined();
  expect(map.find(0x7000_2000)?.end).toBe(0x7000_4000);
});

test.each([
  ['where nothing is mapped', 0],
  ['in the middle of code', 0x1_2000],
])('stays as it is when no byte is protected, %s', (_, at) => {
  const map = new GuestMap();
  map.map(0x1_0000, 0x1_4000, 5, 0x1000, '/lib/a.so');
  const [before, version] = [map.text(), map.codeVersion];
  map.protect(at, at, 1);
  expect(map.text()).toBe(before);
  expect(map.codeVersion).toBe(version);
  expect(() => parseMemoryMap(map.text(), 'mapping.txt')).not.toThrow();
});
