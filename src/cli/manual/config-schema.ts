import type { LoadedCommand } from '../frame/command.ts';
import { commonOptions } from '../frame/common-options.ts';
import { flagsOf, type OptionSpec } from '../frame/option.ts';

type Schema = Readonly<Record<string, unknown>>;

/** JSON Schema of `wayward.config.json`: every option of every command, and a section for each. */
export function configSchema(commands: readonly LoadedCommand[]): Schema {
  const all = [...commonOptions, ...commands.flatMap(({ command }) => command.options)];
  const sections = commands.map(({ name, summary, command }) => [
    name,
    {
      type: 'object',
      description: `${summary}. Goes before what holds for all commands.`,
      properties: propertiesOf([...command.options, ...commonOptions], true),
      additionalProperties: false,
    },
  ]);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'wayward.config.schema.json',
    title: 'wayward.config.json',
    description:
      'Defaults of options, for all commands that have them, or below the name of a command for it alone. The command line and WAYWARD_* variables go before it.',
    type: 'object',
    properties: {
      $schema: { type: 'string' },
      ...propertiesOf(all, false),
      ...Object.fromEntries(sections),
    },
    additionalProperties: false,
  };
}

/** @param withHelp  the same words may mean something else to each command, so above all it is left out */
function propertiesOf(options: readonly OptionSpec[], withHelp: boolean): Schema {
  const properties: Record<string, unknown> = {};
  for (const option of options) {
    const { key } = flagsOf(option);
    const value = schemaOf(option);
    const before = properties[key];
    if (withHelp) properties[key] = { description: option.help, ...value };
    else if (before === undefined) properties[key] = value;
    else if (JSON.stringify(before) !== JSON.stringify(value)) properties[key] = {};
  }
  const sorted = Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted);
}

function schemaOf(option: OptionSpec): Schema {
  const { value } = flagsOf(option);
  if (value === undefined) return { type: 'boolean' };
  if (option.repeats) return { type: ['string', 'array'], items: { type: 'string' } };
  const { parse } = option;
  const takes = (text: string): boolean => parse === undefined || 'value' in parse(text);
  const words = parse?.words;
  // A list of some words is written with commas, or as an array.
  if (words !== undefined && takes(words.join(','))) {
    const list = { type: 'array', items: { enum: words } };
    return words.length > 1 ? list : { enum: words };
  }
  if (words !== undefined) return { enum: words };
  const isText = takes('a') || takes('debug') || takes('redis://a:1') || takes('1..2');
  const isNumber = ['0.5', '1', '16', '1024'].some(takes);
  return { type: isText ? (isNumber ? ['string', 'number'] : 'string') : 'number' };
}
