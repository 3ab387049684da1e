import fc from 'fast-check';
import { expect, test } from 'vitest';
import { judged, RunProgress } from './progress.ts';

test('counts what waits, also beyond what 32 bits hold', () => {
  const progress = new RunProgress();
  let waiting = 0;
  for (let i = 0; i < 20; i++) {
    progress.send(0x3fff_fff0);
    waiting += 0x3fff_fff0;
    expect(progress.waiting).toBe(waiting);
    expect(judged(progress.shared, 0x3fff_ffe0)).toBe(false);
    waiting -= 0x3fff_ffe0;
    expect(progress.waiting).toBe(waiting);
  }
  progress.end();
  expect(progress.waiting).toBe(0);
});

test('tells once, as soon as no more wait than was asked for, and never of what was so before', () => {
  const step = fc.record({ send: fc.nat(50), judge: fc.nat(50), most: fc.option(fc.nat(60)) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const progress = new RunProgress();
      let waiting = 0;
      /** What is asked for and not answered. */
      let asked: number | undefined;
      for (const { send, judge, most } of steps) {
        progress.send(send);
        waiting += send;
        // Who asks sends no more before the answer, which counts from what was sent when it was asked.
        if (asked !== undefined) asked += send;
        if (most !== null && asked === undefined) {
          expect(progress.ask(most)).toBe(waiting > most);
          if (waiting > most) asked = most;
        }
        const done = Math.min(judge, waiting);
        waiting -= done;
        const isTold = judged(progress.shared, done);
        expect(isTold).toBe(asked !== undefined && waiting <= asked);
        if (isTold) asked = undefined;
        expect(progress.waiting).toBe(waiting);
      }
    }),
    { seed: 1 },
  );
});
