import type { LoadedCommand } from '../frame/command.ts';
import { type Grammar, grammarOf } from '../frame/grammar.ts';
import { flagsOf, type OptionSpec } from '../frame/option.ts';

/** What may stand behind an option, as far as a shell can know it. */
export type Value =
  | { readonly kind: 'none' }
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'folder' | 'file' | 'text' };

export interface CompletedOption {
  readonly letters: readonly string[];
  /** Without dashes; the first is the one to offer, the others are understood as well. */
  readonly words: readonly string[];
  readonly help: string;
  readonly value: Value;
  /** `dir` of `--bin-dir <dir>`. */
  readonly valueName: string;
  readonly repeats: boolean;
}

/** A command under one of its names. */
export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** Words that its first argument takes; empty where that is a file or folder. */
  readonly firstWords: readonly string[];
}

/** What there is to complete, the same for all shells. */
export function completionOf(commands: readonly LoadedCommand[]): readonly CompletedCommand[] {
  return commands.flatMap((entry) =>
    [entry.name, ...(entry.aliases ?? [])].map((name) => {
      const grammar = grammarOf(entry, entry.command, name);
      return {
        name,
        summary: entry.summary,
        options: [
          ...grammar.options.map((option) => completedOption(grammar, option)),
          ...questions,
        ],
        firstWords: entry.command.firstWords ?? [],
      };
    }),
  );
}

function completedOption({ byLetter, byWord }: Grammar, option: OptionSpec): CompletedOption {
  const namesOf = (map: ReadonlyMap<string, OptionSpec>): string[] =>
    [...map].filter(([, meant]) => meant === option).map(([name]) => name);
  return {
    letters: namesOf(byLetter),
    words: namesOf(byWord),
    help: option.help,
    value: completedValue(option),
    valueName: flagsOf(option).value ?? '',
    repeats: option.repeats ?? false,
  };
}

/** Names of values that are paths, as flags have them. */
const folders = ['dir', 'run'];
const files = ['file', 'sample', 'place'];

function completedValue(option: OptionSpec): Value {
  const { value } = flagsOf(option);
  if (value === undefined) return { kind: 'none' };
  const words = option.parse?.words;
  if (words !== undefined) return { kind: 'words', words };
  if (folders.includes(value)) return { kind: 'folder' };
  return { kind: files.includes(value) ? 'file' : 'text' };
}

const question: Omit<CompletedOption, 'letters' | 'words' | 'help'> = {
  value: { kind: 'none' },
  valueName: '',
  repeats: false,
};

/** What every command answers instead of running. */
const questions: readonly CompletedOption[] = [
  { ...question, letters: ['h'], words: ['help'], help: 'the options that people use' },
  { ...question, letters: [], words: ['help-all'], help: 'every option, in groups' },
  { ...question, letters: ['V'], words: ['version'], help: 'the version' },
];
