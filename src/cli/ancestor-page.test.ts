import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commands } from './commands.ts';
import { readCommandLine } from './frame/command-line.ts';
import { grammarOf } from './frame/grammar.ts';
import { flagsOf } from './frame/option.ts';

const page = readFileSync(new URL('../../docs/ancestor.md', import.meta.url), 'utf8');

/** Each flag of the page: under which name it is typed, and what it says it stands for. */
const rows = page
  .split(/^## /m)
  .slice(1)
  .flatMap((section) => {
    const [, name = ''] = /^\| \S+\.py \| (\w+) \|/m.exec(section) ?? [];
    const cells = section.matchAll(/^\| `([^`]+)` \| (?:`--([a-z-]+)`|passed over) \|/gm);
    return [...cells].map(([, flags = '', word]) => ({ name, flags, word }));
  });

/** Flags of the scripts in all their public versions, as their option parsers name them. */
const published: Readonly<Record<string, string>> = {
  lstm: `-l --logging --status-interval -t --threads --queue-size --skip-test --skip-eval --eval-dir -p --preprocessed
    --bin-dir --train-size --test-size-benign --test-size-malicious -o --output-sets -i --input-sets --timeout -s
    --sequence-len -b --batch-size -e --epochs --units --max-classes --embedding-input-dimension
    --embedding-output-dimension --dropout --learning-rate --learning-decay --save-model --save-weights --checkpoint
    --checkpoint-best --checkpoint-early-stop --use-model --use-weights --multi-gpu --use-cudnn --disable-ret
    --disable-icall --disable-ijmp --learn-call --learn-jmp --learn-ret --learn-icall --learn-ijmp -r --ratio --test-size
    --eval-threshold --hostname --port --db --hidden-layers --tip-only --no-sliding-window --embedding-dim`,
  prob: `--learn-ret --learn-call --learn-icall --learn-jmp --learn-ijmp -l --logging -t --threads --queue-size --skip-train
    --skip-test --skip-eval -p --preprocessed --train-size --test-size -r --ratio -o --output-sets -i --input-sets -s
    --sequence-len --max-classes --hostname --port --db`,
  syscall: `-l --logging --status-interval -t --threads --skip-test --skip-eval --train-size --test-size-benign
    --test-size-malicious -o --output-sets -i --input-sets -s --sequence-len -b --batch-size -e --epochs --units
    --max-classes --embedding-input-dimension --embedding-output-dimension --dropout --learning-rate --learning-decay
    --save-model --save-weights --checkpoint --use-model --use-weights`,
  preprocess: '-f --force -t --timeout -p --no-partial --hostname --port --db',
  classifier: `-f --force -s --save -l --load -c --csv -p --plot -r --roc -w --workers -i --ignore-cache -b --black-list
    -n --nu -g --gamma`,
  knn: '-t --train-dir -q --query-dir -m --max-val -r --use-redis --hostname -p --port -d --db -b --blacklist',
  stats: '-r --parse-ret -c --parse-icall -j --parse-ijmp -s --sequence-length',
  bloom:
    '-r --parse-ret --learn-ret -c --parse-icall --learn-icall -j --parse-ijmp --learn-ijmp -s --sequence-length',
};

test('the page has every flag that was published', () => {
  for (const [name, flags] of Object.entries(published)) {
    const told = rows
      .filter((row) => row.name === name)
      .flatMap((row) => row.flags.match(/--?[a-z][a-z-]*/g) ?? []);
    expect([...new Set(told)].sort(), name).toEqual(flags.split(/\s+/).sort());
  }
});

test.each(rows)('$name $flags does what the page says', async ({ name, flags, word }) => {
  const entry = commands.find((each) => each.name === name || each.aliases?.includes(name));
  if (entry === undefined) throw new Error(`there is no ${name}`);
  const grammar = grammarOf(entry, await entry.load(), name);
  const takesValue = flags.includes('<');
  for (const flag of flags.match(/--?[a-z][a-z-]*/g) ?? []) {
    const line = readCommandLine(grammar, ['a', flag, ...(takesValue ? ['7'] : [])]);
    expect(line.problems, flag).toEqual([]);
    expect(line.args, flag).toEqual(['a']);
    const said = [...line.said].map(([option]) => flagsOf(option).word);
    expect(said, flag).toEqual(word === undefined ? [] : [word]);
    expect(line.notes.length, flag).toBe(word === undefined ? 1 : 0);
  }
});
