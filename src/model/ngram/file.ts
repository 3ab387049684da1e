import { UserError } from '../../base/errors.ts';
import { type NumberArray, readArrays, writeArrays } from '../array-file.ts';
import { smoothings } from './smoothing.ts';
import { type NgramParts, NgramTable } from './table.ts';

const types = 'iiiiiiif';
const longestContext = 4096;

export function arraysOf(parts: NgramParts): readonly NumberArray[] {
  const { settings, lengths, levels, parents, keys, starts, targets, counts } = parts;
  return [settings, lengths, levels, parents, keys, starts, targets, counts];
}

export async function saveNgramTable(path: string, table: NgramTable): Promise<void> {
  await writeArrays(path, arraysOf(table.parts));
}

/** @throws UserError when the file is damaged; every index in it is checked */
export async function loadNgramTable(path: string, outputClasses: number): Promise<NgramTable> {
  const arrays = await readArrays(path, types);
  const [settings, lengths, levels, parents, keys, starts, targets, counts] = arrays;
  const parts = { settings, lengths, levels, parents, keys, starts, targets, counts };
  const problem = problemOf(parts, outputClasses);
  if (problem !== undefined) {
    throw new UserError('ngram-damaged', problem, { category: 'input', path });
  }
  return new NgramTable(parts);
}

/** What is wrong with a tree of unknown origin: everything that is later used without a look. */
function problemOf(parts: NgramParts, outputClasses: number): string | undefined {
  return (
    settingsProblem(parts, outputClasses) ??
    shapeProblem(parts) ??
    treeProblem(parts, outputClasses)
  );
}

function settingsProblem({ settings }: NgramParts, outputClasses: number): string | undefined {
  if (settings.length !== 3 || smoothings[settings[0]] === undefined) {
    return 'names no smoothing that is known here';
  }
  if (settings[1] !== outputClasses) {
    return `has ${settings[1]} classes where the model has ${outputClasses}`;
  }
  return undefined;
}

/** Arrays that do not fit together. */
function shapeProblem(parts: NgramParts): string | undefined {
  const { lengths, levels, parents, keys, starts, targets, counts } = parts;
  const last = lengths.length - 1;
  if (last < 1 || lengths[0] !== 0 || lengths[last] > longestContext || !isRising(lengths, 1)) {
    return 'has context lengths that make no sense';
  }
  const contexts = parents.length;
  if (
    levels.length !== lengths.length + 1 ||
    levels[0] !== 0 ||
    levels[1] !== 1 ||
    levels[last + 1] !== contexts ||
    !isRising(levels, 1) ||
    keys.length !== 2 * contexts
  ) {
    return 'has levels that do not hold its contexts';
  }
  if (
    starts.length !== contexts + 1 ||
    starts[0] !== 0 ||
    starts[contexts] !== targets.length ||
    targets.length !== counts.length ||
    !isRising(starts, 1)
  ) {
    return 'has contexts without entries';
  }
  if (!counts.every((count) => count > 0 && count < Number.POSITIVE_INFINITY)) {
    return 'has counts that are none';
  }
  return undefined;
}

/** A parent stands one level above, and every entry is one of the parent's, too. */
function treeProblem(parts: NgramParts, outputClasses: number): string | undefined {
  const { lengths, levels, parents } = parts;
  if (parents[0] !== -1) return 'has a root with a parent';
  for (let level = 0; level < lengths.length; level++) {
    for (let context = levels[level]; context < levels[level + 1]; context++) {
      const parent = parents[context];
      if (level > 0 && !(parent >= levels[level - 1] && parent < levels[level])) {
        return `context ${context} has a parent of another level`;
      }
      const problem = entriesProblem(parts, context, outputClasses);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}

function entriesProblem(
  { parents, starts, targets }: NgramParts,
  context: number,
  outputClasses: number,
): string | undefined {
  const parent = parents[context];
  let above = starts[Math.max(0, parent)];
  for (let entry = starts[context]; entry < starts[context + 1]; entry++) {
    const target = targets[entry];
    if (target < 0 || target >= outputClasses) return `entry ${entry} is no class`;
    if (entry > starts[context] && target <= targets[entry - 1]) {
      return `entry ${entry} is out of order`;
    }
    if (parent < 0) continue;
    while (above < starts[parent + 1] && targets[above] !== target) above++;
    if (above === starts[parent + 1]) return `entry ${entry} is none of the shorter context`;
  }
  return undefined;
}

/** @returns whether each number is at least `step` above the one before */
function isRising(numbers: Int32Array, step: number): boolean {
  return numbers.every((number, i) => i === 0 || number - numbers[i - 1] >= step);
}
