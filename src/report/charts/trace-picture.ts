import type { Evaluation } from '../../evaluation/evaluation.ts';

export interface PictureOptions {
  /**
   * - `predictions`: correct ones pale, wrong ones vermilion (the surer, the darker), targets that
   *   the vocabulary does not know purple
   * - `blocks`: one colour for each target block, so that repetition shows as texture
   */
  readonly by: 'predictions' | 'blocks';
  /** Pixels in a row; by default about as wide as high. */
  readonly width?: number;
  /** More transfers than this share pixels; a pixel then shows the worst of its transfers. */
  readonly maxPixels?: number;
}

/**
 * A whole trace as pixels, one predicted transfer each, row by row from the top left.
 *
 * @returns PNG bytes
 */
export async function renderTracePicture(
  evaluation: Evaluation,
  options: PictureOptions,
): Promise<Uint8Array> {
  const { encode } = await import('fast-png');
  const picture = paintTrace(evaluation, options);
  return encode({ ...picture, channels: 3, depth: 8 });
}

/** The picture before it is packed: `data` is `[height, width, 3]`. Unused pixels at the end are white. */
export function paintTrace(
  evaluation: Evaluation,
  options: PictureOptions,
): { readonly width: number; readonly height: number; readonly data: Uint8Array } {
  const { occurrences, predictions } = evaluation;
  const limit = Math.max(1, Math.floor(options.maxPixels ?? 4_000_000));
  const perPixel = Math.max(1, Math.ceil(occurrences.length / limit));
  const pixels = Math.max(1, Math.ceil(occurrences.length / perPixel));
  const width = Math.max(
    1,
    Math.min(pixels, Math.floor(options.width ?? Math.ceil(Math.sqrt(pixels)))),
  );
  const height = Math.ceil(pixels / width);
  const data = new Uint8Array(width * height * 3).fill(255);

  // One colour and one rank for each distinct prediction; the loop over the trace only looks up.
  const colours = new Uint8Array(predictions.length * 3);
  const badness = new Float32Array(predictions.length);
  for (let i = 0; i < predictions.length; i++) {
    const actual = predictions.actual[i];
    const isWrong = predictions.predicted[i] !== actual;
    const confidence = predictions.confidence[i];
    badness[i] = actual === 0 ? 2 : isWrong ? 1 + confidence : 0;
    const colour =
      options.by === 'blocks'
        ? blockColour(actual)
        : predictionColour(isWrong, actual === 0, confidence);
    colours.set(colour, i * 3);
  }
  for (let pixel = 0; pixel < pixels && occurrences.length > 0; pixel++) {
    const end = Math.min(occurrences.length, (pixel + 1) * perPixel);
    let worst = occurrences[pixel * perPixel];
    for (let k = pixel * perPixel + 1; k < end; k++) {
      if (badness[occurrences[k]] > badness[worst]) worst = occurrences[k];
    }
    data[pixel * 3] = colours[worst * 3];
    data[pixel * 3 + 1] = colours[worst * 3 + 1];
    data[pixel * 3 + 2] = colours[worst * 3 + 2];
  }
  return { width, height, data };
}

function predictionColour(isWrong: boolean, isUnknown: boolean, confidence: number): number[] {
  if (isUnknown) return [119, 87, 166];
  if (!isWrong) return [226, 234, 242];
  // From #f2a27f when unsure to #8f2a02 when sure.
  const t = Number.isNaN(confidence) ? 1 : Math.min(1, Math.max(0, confidence));
  return [242 - 99 * t, 162 - 120 * t, 127 - 125 * t].map(Math.round);
}

/** Neighbouring classes get hues far apart (golden angle); class 0, unknown, is black. */
function blockColour(actual: number): number[] {
  if (actual === 0) return [0, 0, 0];
  const hue = (actual * 137.50776405) % 360;
  const lightness = 0.55 + 0.2 * (((actual * 7) % 5) / 4);
  // HSL with saturation 0.5.
  const a = 0.5 * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
