import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseLines } from './source-lines.ts';

test('both programs are understood', () => {
  const output = `0x1169
/home/me/src/a.c:3
0x0000000000001170
C:\\src\\b.cpp:12 (discriminator 2)
0x1180
??:0
0x1190
a.c:?
0x11a0
inner.h:7:3
outer.c:9
`;
  expect([...parseLines(output)]).toEqual([
    [0x1169, 'a.c:3'],
    [0x1170, 'b.cpp:12'],
    [0x11a0, 'inner.h:7'],
  ]);
});

test('any text gives short lines, or none', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.constant('0x12'))), (lines) => {
      for (const line of parseLines(lines.join('\n')).values()) {
        expect(line.length).toBeLessThan(230);
        expect(line).toMatch(/:\d+$/);
      }
    }),
    { seed: 1 },
  );
});
