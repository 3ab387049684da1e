export type OptimizerKind = 'rmsprop' | 'adam';

/** How steps are taken from gradients. */
export interface OptimizerOptions {
  readonly kind: OptimizerKind;
  readonly learningRate: number;
  /** Keras' time decay: the rate at step t is `learningRate / (1 + decay * t)`. */
  readonly decay: number;
  /** `one-cycle` rises linearly over the first tenth of `totalSteps`, then falls by a half cosine to 1 %. */
  readonly schedule: 'constant' | 'one-cycle';
  readonly totalSteps: number;
  /** Gradients with a larger Euclidean norm are scaled down to it; 0 = never. */
  readonly clipNorm: number;
}

const rmspropRho = 0.9;
const adamBeta1 = 0.9;
const adamBeta2 = 0.999;
const epsilon = 1e-7;
const warmUp = 0.1;
const lastRate = 0.01;

/** Learning rate of step `step`, from 0. */
function learningRateAt(options: OptimizerOptions, step: number): number {
  const rate = options.learningRate / (1 + options.decay * step);
  if (options.schedule === 'constant') return rate;
  const done = Math.min(1, (step + 1) / options.totalSteps);
  if (done < warmUp) return rate * (done / warmUp);
  const falling = (done - warmUp) / (1 - warmUp);
  return rate * (lastRate + ((1 - lastRate) * (1 + Math.cos(Math.PI * falling))) / 2);
}

/**
 * RMSprop or Adam over one vector of parameters. Ranges are updated on their own, so that rows of an
 * embedding that a batch does not hold keep parameters and moments, as sparse updates in Keras do.
 *
 * @see Tieleman and Hinton, Lecture 6.5 (2012); Kingma and Ba, "Adam" (2015)
 */
export class Optimizer {
  readonly options: OptimizerOptions;
  /** Steps taken. */
  step = 0;
  /** Mean of squared gradients. */
  readonly squares: Float32Array;
  /** Mean of gradients; empty for RMSprop. */
  readonly means: Float32Array;

  constructor(options: OptimizerOptions, length: number) {
    this.options = options;
    this.squares = new Float32Array(length);
    this.means = new Float32Array(options.kind === 'adam' ? length : 0);
  }

  /** Call once before the ranges of a step. @returns the step's learning rate */
  begin(): number {
    const rate = learningRateAt(this.options, this.step);
    this.step++;
    if (this.options.kind === 'rmsprop') return rate;
    // Bias correction folded into the rate.
    return (rate * Math.sqrt(1 - adamBeta2 ** this.step)) / (1 - adamBeta1 ** this.step);
  }

  /**
   * Updates `length` parameters from `offset` on.
   *
   * @param gradient  from `from` on
   * @param scale  factor on the gradient
   */
  update(
    parameters: Float32Array,
    offset: number,
    gradient: Float32Array,
    from: number,
    length: number,
    rate: number,
    scale: number,
  ): void {
    const { squares, means } = this;
    if (this.options.kind === 'rmsprop') {
      for (let i = 0; i < length; i++) {
        const at = offset + i;
        const g = gradient[from + i] * scale;
        const square = rmspropRho * squares[at] + (1 - rmspropRho) * g * g;
        squares[at] = square;
        parameters[at] -= (rate * g) / (Math.sqrt(square) + epsilon);
      }
      return;
    }
    for (let i = 0; i < length; i++) {
      const at = offset + i;
      const g = gradient[from + i] * scale;
      const mean = adamBeta1 * means[at] + (1 - adamBeta1) * g;
      const square = adamBeta2 * squares[at] + (1 - adamBeta2) * g * g;
      means[at] = mean;
      squares[at] = square;
      parameters[at] -= (rate * mean) / (Math.sqrt(square) + epsilon);
    }
  }
}
