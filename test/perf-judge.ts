import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { formatAddress } from '../src/base/address.ts';
import { CodeCache } from '../src/flow/code-cache.ts';
import type { Mark } from '../src/flow/mark.ts';
import { ImageStore } from '../src/image/image-store.ts';
import { openTraces } from '../src/trace/open-trace.ts';
import { readSample } from '../src/trace/sample.ts';
import { Transfer } from '../src/x86/transfer.ts';

const run = promisify(execFile);

/** What a decoder made of the trace of one thread. */
export interface Branches {
  /** `from>to`, hexadecimal; `from>syscall` where the kernel was called. */
  readonly branches: string[];
  /** Gaps, or errors. */
  readonly problems: string[];
}

/**
 * Lets `perf script` decode a recording.
 *
 * @param home  a folder of its own, because perf keeps its build-id cache there
 * @returns branches by thread; the places where tracing begins and ends are left out
 */
export async function perfBranches(file: string, home: string): Promise<Map<number, Branches>> {
  const { stdout, stderr } = await run(
    'perf',
    ['script', '-i', file, '--itrace=be', '-F', 'tid,ip,addr,flags,event'],
    { env: { PATH: process.env.PATH, HOME: home, LC_ALL: 'C' }, maxBuffer: 1 << 30 },
  );
  const threads = new Map<number, Branches>();
  const thread = (tid: number): Branches => {
    const known = threads.get(tid) ?? { branches: [], problems: [] };
    threads.set(tid, known);
    return known;
  };
  for (const line of stdout.split('\n')) {
    if (line.trim() === '') continue;
    const row = /^\s*(-?\d+)\s+branches:\S*\s+(.*?)\s+([0-9a-f]+) =>\s+([0-9a-f]+)/.exec(line);
    if (row === null) {
      const tid = /tid (-?\d+)/.exec(line)?.[1];
      thread(Number(tid ?? -1)).problems.push(line.trim());
      continue;
    }
    const [, tid, flags = '', from = '', to = ''] = row;
    const { branches } = thread(Number(tid));
    if (from !== '0' && to !== '0') branches.push(`${from}>${to}`);
    else if (flags.includes('syscall')) branches.push(`${from}>syscall`);
  }
  for (const line of stderr.split('\n')) if (line.trim() !== '') thread(-1).problems.push(line);
  return threads;
}

/** Decodes a sample's trace. */
export async function ourBranches(directory: string, binDir: string): Promise<Branches> {
  const codeCache = new CodeCache();
  const images = new ImageStore([binDir]);
  const sample = await readSample(directory);
  const [trace] = await openTraces(sample, { images, codeCache, preprocessed: false });
  const { source } = trace;
  const branches: string[] = [];
  const problems: string[] = [];
  let before = -1;
  await source.run(({ entries, length }) => {
    const { modules, module, offset, lastInstruction, size, kind } = source.blocks;
    const hex = (block: number, extra: number): string => {
      const base = module[block] < 0 ? 0 : modules[module[block]].base;
      return formatAddress(base + offset[block] + extra).slice(2);
    };
    for (let i = 0; i < length; i++) {
      const block = entries[i];
      if (before >= 0) {
        const from = hex(before, lastInstruction[before]);
        const to = block >= 0 ? hex(block, 0) : reached(source.marks[~block]);
        if (kind[before] === Transfer.syscall) branches.push(`${from}>syscall`);
        else if (to !== undefined) {
          if (kind[before] !== Transfer.jcc || to !== hex(before, size[before])) {
            branches.push(`${from}>${to}`);
          }
        }
      }
      before = block;
      if (block < 0) {
        const mark = source.marks[~block];
        if (mark.kind === 'gap') problems.push(`${mark.reason} at ${mark.traceOffset}`);
      }
    }
  });
  if (before >= 0) {
    const { modules, module, offset, lastInstruction, kind } = source.blocks;
    const base = module[before] < 0 ? 0 : modules[module[before]].base;
    const from = formatAddress(base + offset[before] + lastInstruction[before]).slice(2);
    if (kind[before] === Transfer.syscall) branches.push(`${from}>syscall`);
  }
  codeCache.dispose();
  return { branches, problems };
}

/** @returns where flow was at an overflow: the last branch is known */
function reached(mark: Mark): string | undefined {
  const isKnown = mark.kind === 'gap' && mark.reason === 'overflow' && mark.address !== undefined;
  return isKnown ? formatAddress(mark.address).slice(2) : undefined;
}
