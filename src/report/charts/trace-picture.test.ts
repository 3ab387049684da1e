import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import { exampleEvaluation } from '../../../test/example-evaluation.ts';
import { paintTrace, renderTracePicture } from './trace-picture.ts';

const right = { predicted: 3, actual: 3, confidence: 0.9 };
const wrong = { predicted: 3, actual: 4, confidence: 1 };
const unknown = { predicted: 3, actual: 0, confidence: 0.5 };

test('has one pixel a transfer, row by row', async () => {
  const evaluation = exampleEvaluation([right, wrong, unknown], {
    occurrences: [0, 0, 0, 1, 0, 2, 0],
  });
  const png = decode(await renderTracePicture(evaluation, { by: 'predictions', width: 3 }));
  expect([png.width, png.height, png.channels]).toEqual([3, 3, 3]);
  const pixel = (i: number): number[] => [...png.data.slice(i * 3, i * 3 + 3)].map(Number);
  expect(pixel(0)).toEqual([226, 234, 242]);
  expect(pixel(3)).toEqual([143, 42, 2]);
  expect(pixel(5)).toEqual([119, 87, 166]);
  expect(pixel(6)).toEqual(pixel(0));
  expect(pixel(8)).toEqual([255, 255, 255]);
});

test('shows the worst transfer where several share a pixel', () => {
  const occurrences = Array.from({ length: 1000 }, (_, i) => (i === 617 ? 1 : 0));
  const evaluation = exampleEvaluation([right, wrong], { occurrences });
  const { width, height, data } = paintTrace(evaluation, { by: 'predictions', maxPixels: 100 });
  expect(width * height).toBe(100);
  const dark = [...Array(100).keys()].filter((i) => data[i * 3 + 2] === 2);
  expect(dark).toEqual([61]);
});

test('colours by block: same block, same colour; unknown is black', () => {
  const blocks = Array.from({ length: 50 }, (_, i) => ({ ...right, actual: i }));
  const { data } = paintTrace(exampleEvaluation([...blocks, ...blocks]), {
    by: 'blocks',
    width: 50,
  });
  expect(data.slice(0, 150)).toEqual(data.slice(150));
  expect([...data.slice(0, 3)]).toEqual([0, 0, 0]);
  const distinct = new Set(
    Array.from({ length: 50 }, (_, i) => data.slice(i * 3, i * 3 + 3).join()),
  );
  expect(distinct.size).toBe(50);
});

test('a trace without transfers is one white pixel', () => {
  expect(paintTrace(exampleEvaluation([]), { by: 'blocks' })).toEqual({
    width: 1,
    height: 1,
    data: Uint8Array.of(255, 255, 255),
  });
});
