import { formatAddress } from '../../base/address.ts';
import { integer } from '../../base/options/option.ts';
import { showCount } from '../../base/text/format.ts';
import { listBlocks, type TraceBlock } from '../../commands/blocks.ts';
import {
  type InspectOptions,
  inspect,
  listPackets,
  type TraceReport,
} from '../../commands/inspect.ts';
import type { Mark } from '../../flow/mark.ts';
import type { RunContext } from '../../model/first-layer.ts';
import { transferNames } from '../../x86/transfer.ts';
import { type Command, type CommandSpec, defineCommand } from '../frame/command.ts';
import { type ReadingFlags, readingOf, readingOptions } from '../options/reading-flags.ts';

interface Options extends ReadingFlags {
  readonly json: boolean;
  readonly hash: boolean;
  readonly hottest: number;
  readonly blocks: boolean;
  readonly transfers: boolean;
  readonly packets: boolean;
  readonly limit: number | undefined;
}

const spec: CommandSpec<Options> = {
  args: [['<sample>', "a sample's folder"]],
  options: [
    ...readingOptions,
    { flags: '--hash', help: 'the control-flow fingerprint, to compare decoders' },
    {
      flags: '--hottest <n>',
      help: 'blocks in the list of the hottest',
      parse: integer(0),
      default: 10,
    },
    { flags: '--blocks', help: 'list every block that ran, with the instruction that ends it' },
    { flags: '--transfers', help: 'list every transfer but conditional branches: from, kind, to' },
    { flags: '--packets', help: 'list the packets of the raw trace' },
    { flags: '--limit <n>', help: 'lines of a list at most', parse: integer(1) },
  ],
  examples: [
    ['wayward inspect ROOT/traces/A', 'counts, gaps, modules and the hottest blocks'],
    ['wayward inspect ROOT/traces/A --hash', 'adds the fingerprint'],
    [
      'wayward inspect ROOT/traces/A --transfers --limit 100',
      'the first 100 transfers with symbols',
    ],
    ['wayward inspect ROOT/traces/A --packets --json', 'packets as NDJSON'],
  ],
  run: async ({ args: [sample = ''], options: o, terminal, signal, print, printText }) => {
    const context = { log: terminal, progress: terminal.progress, signal };
    const inspected: InspectOptions = {
      ...readingOf(o),
      sample,
      hash: o.hash,
      hottest: o.hottest,
    };
    const lines = new Lines(printText, o.limit);
    if (o.packets) await printPackets(inspected, o.json, lines);
    else if (o.blocks || o.transfers) await printFlow(inspected, context, o, lines);
    else {
      const reports = await inspect(inspected, context);
      if (o.json) printText(JSON.stringify({ schemaVersion: 1, traces: reports }, undefined, 2));
      else for (const report of reports) for (const line of describe(report)) print(line);
    }
    return 0;
  },
};

export const inspectCommand: Command = defineCommand(spec);

async function printPackets(
  { sample }: InspectOptions,
  asJson: boolean,
  lines: Lines,
): Promise<void> {
  await listPackets(sample, (packet) => {
    const { offset, name, fields } = packet;
    const line = `${offset.toString(16).padStart(8, '0')}  ${name.padEnd(9)} ${fields}`;
    return lines.add(asJson ? JSON.stringify(packet) : line.trimEnd());
  });
  lines.flush();
}

/** Every block that ran, or every transfer but conditional branches. */
async function printFlow(
  inspected: InspectOptions,
  context: RunContext,
  { json, transfers }: Pick<Options, 'json' | 'transfers'>,
  lines: Lines,
): Promise<void> {
  let before: TraceBlock | undefined;
  await listBlocks(inspected, context, (line) => {
    if ('mark' in line) {
      before = undefined;
      return lines.add(
        json ? JSON.stringify(line) : `${column(line.index)}  ${describeMark(line.mark)}`,
      );
    }
    const from = before;
    before = line;
    if (!transfers) return lines.add(json ? JSON.stringify(line) : blockLine(line));
    if (from === undefined || from.transfer === 'jcc') return true;
    return lines.add(json ? JSON.stringify(transferOf(from, line)) : transferLine(from, line));
  });
  lines.flush();
}

function blockLine(block: TraceBlock): string {
  const { index, address, transfer, place } = block;
  return `${column(index)} ${address.padStart(14)}  ${transfer.padEnd(7)} ${place}${comment(block)}`;
}

function transferLine(from: TraceBlock, to: TraceBlock): string {
  return `${column(from.index)}  ${from.transfer.padEnd(7)} ${from.place} -> ${to.place}${comment(from)}`;
}

/** A transfer as its line of JSON has it. */
function transferOf(
  { index, address, place: from, transfer, instruction }: TraceBlock,
  { place: to, address: target }: TraceBlock,
): object {
  return { index, address, from, transfer, instruction, to, target };
}

function column(index: number): string {
  return String(index).padStart(9);
}

function comment({ instruction }: TraceBlock): string {
  return instruction === undefined ? '' : `  ; ${instruction}`;
}

/** Collects lines, because one write for each of millions is slow. */
class Lines {
  readonly #print: (text: string) => void;
  readonly #limit: number;
  #held: string[] = [];
  #count = 0;

  constructor(print: (text: string) => void, limit: number | undefined) {
    this.#print = print;
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
  }

  /** @returns whether there is room for more */
  add(line: string): boolean {
    if (this.#count >= this.#limit) return false;
    // A symbol may be called anything, and is one line.
    this.#held.push(line.replaceAll('\n', '\\n'));
    if (this.#held.length >= 4096) this.flush();
    return ++this.#count < this.#limit;
  }

  flush(): void {
    if (this.#held.length > 0) this.#print(this.#held.join('\n'));
    this.#held = [];
  }
}

function describeMark(mark: Mark): string {
  const at = (address: number | undefined): string =>
    address === undefined ? '?' : formatAddress(address);
  if (mark.kind === 'thread') return '(another thread)';
  if (mark.kind === 'async') {
    if (mark.to === undefined && mark.from !== undefined) {
      const where = mark.isInCode ? '' : ', where no code is known';
      return `(ended by an event at ${at(mark.from)}${where})`;
    }
    return `(asynchronous: ${at(mark.from)} -> ${at(mark.to)})`;
  }
  return `(gap: ${mark.reason} at trace offset ${mark.traceOffset}, address ${at(mark.address)}, ${mark.bytesLost} bytes lost)`;
}

const gapsShown = 10;
const filesShown = 10;
const modulesShown = 15;

/** The first of many lines, and how many more there are. */
function listed(name: string, items: readonly string[], most: number): string[] {
  const lines = items.slice(0, most).map((item) => `  ${name.padEnd(12)} ${item}`);
  const more = items.length - most;
  if (more > 0) lines.push(`${' '.repeat(15)}and ${showCount(more)} more (--json lists all)`);
  return lines;
}

function describe(report: TraceReport): string[] {
  const { summary } = report;
  const lines = [
    report.path,
    `  trace        ${showCount(summary.traceBytes)} bytes, read in ${report.seconds.toFixed(2)} s`,
    `  blocks       ${showCount(summary.blocks)}, ${showCount(summary.distinctBlocks)} distinct`,
    `  transfers    ${transferNames
      .filter((name) => report.transfers[name] > 0)
      .map((name) => `${name} ${showCount(report.transfers[name])}`)
      .join(', ')}`,
    `  gaps         ${showCount(summary.gaps)}, ${showCount(summary.bytesLost)} bytes lost, ${showCount(summary.overflows)} overflows, ${showCount(summary.asyncTransfers)} asynchronous transfers`,
  ];
  if (summary.crashed) {
    lines.push(
      '  end          by an event: the program crashed or was killed, or the recording stopped',
    );
  }
  for (const gap of report.gaps.slice(0, gapsShown))
    lines.push(`               ${describeMark(gap).slice(1, -1)}`);
  if (report.gaps.length > gapsShown)
    lines.push(`               and ${showCount(report.gaps.length - gapsShown)} more`);
  for (const note of report.notes) lines.push(`  note         ${note}`);
  lines.push(...listed('no image', report.missing, filesShown));
  lines.push(...listed('memory dump', report.flat, filesShown));
  if (report.fingerprint !== undefined) {
    lines.push(
      `  hash         ${report.fingerprint}  (${showCount(report.decisions ?? 0)} decisions, ${showCount(report.instructions ?? 0)} instructions)`,
    );
  }
  const modules = report.modules.map(
    ({ path, blocks, distinct }) =>
      `${showCount(blocks).padStart(13)} blocks ${showCount(distinct).padStart(7)} distinct  ${path || '(unnamed)'}`,
  );
  lines.push(...listed('module', modules, modulesShown));
  for (const { place, count, share } of report.hottest) {
    lines.push(
      `  hot block    ${showCount(count).padStart(13)} ${(100 * share).toFixed(1).padStart(5)} %  ${place}`,
    );
  }
  return lines;
}
