import { shorten } from '../../base/text/format.ts';
import { defaultOf, flagsOf, type OptionSpec, variableOf } from './option.ts';

/** Where the value of an option may come from, besides its default. */
export interface Sources {
  readonly said: ReadonlyMap<OptionSpec, readonly (string | true)[]>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the config file says, by key. */
  readonly configured: Readonly<Record<string, unknown>>;
  /** Defaults that hold under the name that was typed. */
  readonly defaults: Readonly<Record<string, unknown>>;
}

/**
 * Every option's value, by key: from its flag, else `WAYWARD_<NAME>`, else `wayward.config.json`,
 * else its default.
 *
 * @param problems  gets everything that is wrong with them
 */
export function settleOptions(
  options: readonly OptionSpec[],
  sources: Sources,
  problems: string[],
): Record<string, unknown> {
  const settled: Record<string, unknown> = {};
  for (const option of options) {
    const { key } = flagsOf(option);
    const said = whatWasSaid(option, sources, problems);
    settled[key] =
      said === undefined
        ? (sources.defaults[key] ?? defaultOf(option))
        : readSaid(said, option, problems);
  }
  return settled;
}

/** What somebody said of an option, and where. */
interface Said {
  readonly values: readonly unknown[];
  readonly source: string;
}

function whatWasSaid(
  option: OptionSpec,
  { said, environment, configured }: Sources,
  problems: string[],
): Said | undefined {
  const { key, word, isNegated } = flagsOf(option);
  const flags = said.get(option);
  // A flag that turns off says false.
  if (flags !== undefined)
    return {
      source: `--${word}`,
      values: isNegated ? flags.map(() => false) : flags,
    };
  const variable = variableOf(key);
  const inEnvironment = environment[variable];
  if (inEnvironment !== undefined) return { source: variable, values: [inEnvironment] };
  const value = Object.hasOwn(configured, key) ? configured[key] : undefined;
  if (value === undefined) return undefined;
  const source = `wayward.config.json: ${key}`;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every((each) => couldBeTyped(each, option))) {
    const kind = flagsOf(option).value === undefined ? 'true or false' : 'a text or a number';
    problems.push(`${source} must be ${kind}${option.repeats ? ', or a list of them' : ''}`);
    return undefined;
  }
  // What takes one list takes it as a text: a,b,c.
  return { source, values: option.repeats ? list : [list.join(',')] };
}

/** `null` as the name of a folder, or an object, is nothing that somebody meant. */
function couldBeTyped(value: unknown, option: OptionSpec): boolean {
  if (typeof value === 'boolean') return flagsOf(option).value === undefined;
  return typeof value === 'string' || typeof value === 'number';
}

function readSaid({ values, source }: Said, option: OptionSpec, problems: string[]): unknown {
  const isFlag = flagsOf(option).value === undefined;
  const parse = isFlag ? yesOrNo : (option.parse ?? ((text: string) => ({ value: text })));
  const read = values.map((value) => {
    const text = String(value);
    // Only the file can hold one, and no system takes it in a name.
    const result = text.includes('\0') ? { problem: 'holds a NUL character' } : parse(text);
    if ('value' in result) return result.value;
    const shown = option.isSecret ? '' : `, not "${shorten(text)}"`;
    problems.push(`${source} ${result.problem}${shown}`);
    return undefined;
  });
  return option.repeats ? read : read.at(-1);
}

function yesOrNo(text: string): { readonly value: boolean } | { readonly problem: string } {
  if (/^(1|true|yes|on)$/i.test(text)) return { value: true };
  if (/^(0|false|no|off|)$/i.test(text)) return { value: false };
  return { problem: 'takes yes or no' };
}
