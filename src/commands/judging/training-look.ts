import type { Evaluation } from '../../evaluation/evaluation.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { placeSentence } from '../../report/data/place-sentence.ts';
import { featuresOfLeftOut, type LeftOut, leftOutOf } from '../../verdict/left-out.ts';
import { rankUnlike, type UnlikeRun } from '../../verdict/unlike.ts';
import { modelIdentity } from '../samples/evaluating/evaluate.ts';
import { lookInto } from '../samples/look-into.ts';
import type { SampleSource, SourceContext } from '../samples/source.ts';
import type { ObtainedModel } from '../training/obtain-model.ts';

/** A training run that is unlike the others. */
export interface UnlikeSample extends Pick<UnlikeRun, 'score' | 'pValue' | 'standsOut'> {
  readonly name: string;
  readonly directory: string;
  /** Where it strayed most, in words. */
  readonly place: string | undefined;
}

/** How training runs do that are judged without their own counts. */
export interface TrainingLook {
  readonly leftOut: LeftOut;
  /** @returns those that stand out, else the one that is most unlike the others; most unlike first */
  unlike(
    reading: SampleSource & { readonly traces: SourceContext },
    context: RunContext,
  ): Promise<readonly UnlikeSample[]>;
}

/** Runs of which the whole evaluation is kept until it is known which are unlike the others. */
const mostKept = 8;

/** @returns `undefined` where the model cannot judge its training runs */
export function judgeTraining({ trained, leftOut }: ObtainedModel): TrainingLook | undefined {
  if (leftOut === undefined) return undefined;
  const kept = new KeptEvaluations();
  const judged = leftOutOf(modelIdentity(trained), kept.through(leftOut()));
  const runs = rankUnlike(featuresOfLeftOut(judged));
  const count = Math.max(1, runs.filter(({ standsOut }) => standsOut).length);
  return {
    leftOut: judged,
    unlike: async ({ traces, ...source }, context) => {
      const samples: UnlikeSample[] = [];
      for (const { index, score, pValue, standsOut } of runs.slice(0, count)) {
        const { name, directory } = judged.runs[index].sample;
        const evaluation = kept.get(index);
        const detail =
          evaluation &&
          (await lookInto(evaluation, {
            ...{ source, unit: 'block', traces, vocabulary: trained.vocabulary },
            ...{ patches: 1, bins: 1, pictures: undefined, withEvidence: true, context },
          }));
        const place = detail && placeSentence(detail.detail);
        samples.push({ name, directory, score, pValue, standsOut, place });
      }
      return samples;
    },
  };
}

/** The evaluations with the most improbable transfers: their runs are the candidates. */
class KeptEvaluations {
  #kept: { readonly index: number; readonly nats: number; readonly evaluation: Evaluation }[] = [];

  *through(evaluations: Iterable<Evaluation>): Generator<Evaluation> {
    let index = 0;
    for (const evaluation of evaluations) {
      const least = evaluation.predictions.actualProbability.reduce((a, b) => Math.min(a, b), 1);
      this.#kept.push({ index: index++, nats: -Math.log(least), evaluation });
      this.#kept.sort((a, b) => b.nats - a.nats || a.index - b.index);
      this.#kept.length = Math.min(mostKept, this.#kept.length);
      yield evaluation;
    }
  }

  get(index: number): Evaluation | undefined {
    return this.#kept.find((item) => item.index === index)?.evaluation;
  }
}
