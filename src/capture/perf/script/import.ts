import { appendFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { messageOf, UserError } from '../../../base/errors.ts';
import { isThere } from '../../../base/files/exists.ts';
import { makeFolder, removeQuietly } from '../../../base/files/folder.ts';
import { streamMaybeGzip } from '../../../base/files/read.ts';
import { partOf, removeStaleParts } from '../../../base/files/write.ts';
import { CodeCache } from '../../../flow/code-cache.ts';
import { ControlFlowGraph } from '../../../flow/control-flow-graph.ts';
import { ImageStore } from '../../../image/image-store.ts';
import { buildAddressSpace } from '../../../image/mapped-space.ts';
import { parseMemoryMap } from '../../../image/maps/memory-map.ts';
import { PtEncoder } from '../../../pt/encoder.ts';
import { writeSampleFolder } from '../../sample-folder.ts';
import type { ImportedThread, PerfImported, PerfImportOptions } from '../import.ts';
import { PerfMapWriter } from '../map.ts';
import { PerfProcesses, type PerfProgram, type PerfThread } from '../records/processes.ts';
import { isWanted, sampleNames } from '../threads.ts';
import { BranchEncoder } from './branch-encoder.ts';
import { parseScriptLine, type ScriptLine } from './line.ts';

/** Encoded trace that is kept in memory before it goes to a file. */
const maxWaiting = 1 << 20;

/** What is mapped in a program, as the last branch found it. */
interface Code {
  readonly mappings: number;
  readonly graph: ControlFlowGraph;
  readonly bitness: 32 | 64;
}

interface Writer {
  readonly file: string;
  readonly encoder: PtEncoder;
  readonly branches: BranchEncoder;
  readonly waiting: Uint8Array[];
}

/**
 * Makes a sample of each thread of a branch trace that `perf script` printed. The code between
 * branches is followed, so what was mapped must be in the text and at hand.
 *
 * @throws UserError `not-perf-script`, `perf-script-no-maps`, and as `writeSampleFolder`
 */
export async function importPerfScript(options: PerfImportOptions): Promise<PerfImported> {
  await makeFolder(options.out);
  // A killed import leaves it behind.
  await removeStaleParts(join(resolve(options.out), '.import'));
  const work = partOf(join(resolve(options.out), '.import'));
  await makeFolder(work);
  const reader = new ScriptReader(options, work);
  try {
    for await (const line of linesOf(options.path, options.signal)) await reader.add(line);
    return await reader.finish();
  } finally {
    reader.dispose();
    await removeQuietly(work);
  }
}

class ScriptReader {
  readonly #options: PerfImportOptions;
  readonly #work: string;
  readonly #processes: PerfProcesses = new PerfProcesses();
  readonly #maps: PerfMapWriter;
  readonly #writers: Map<PerfThread, Writer> = new Map();
  readonly #codes: Map<PerfProgram, Code> = new Map();
  readonly #changes: Map<PerfProgram, number> = new Map();
  #codeCache: CodeCache = new CodeCache();
  #waiting = 0;
  #badMappings = 0;

  constructor(options: PerfImportOptions, work: string) {
    this.#options = options;
    this.#work = work;
    this.#maps = new PerfMapWriter(options.images, options.collection, []);
  }

  async add(text: string): Promise<void> {
    const line = parseScriptLine(text);
    if (line === undefined) return;
    const processes = this.#processes;
    switch (line.kind) {
      case 'mmap':
        processes.map(line.pid, line.mapping);
        this.#changed(processes.thread(line.pid, line.pid).program);
        return;
      case 'comm':
        if (line.isExec) processes.exec(line.pid, line.tid, line.comm);
        else processes.name(line.pid, line.tid, line.comm);
        return;
      case 'fork':
        processes.fork(line.pid, line.parentPid, line.tid, line.parentTid);
        return;
      case 'error':
        this.#writers.get(processes.thread(-1, line.tid))?.branches.lose();
        return;
      case 'branch':
        await this.#branch(line);
    }
  }

  async finish(): Promise<PerfImported> {
    const { path, out, name, label, family, comm, signal } = this.#options;
    if (this.#writers.size === 0) {
      throw new UserError(
        'not-perf-script',
        'holds no branches; print them with: perf script --itrace=be -F comm,pid,tid,time,event,ip,addr,flags --show-mmap-events --show-task-events',
        { category: 'input', path },
      );
    }
    const wanted = [...this.#writers.keys()].filter((thread) => isWanted(thread, comm));
    const names = sampleNames(wanted, name);
    const threads: ImportedThread[] = [];
    let traceBytes = 0;
    for (const { encoder } of this.#writers.values()) encoder.finish();
    await this.#drain();
    for (const thread of wanted) {
      const writer = this.#writers.get(thread);
      if (writer === undefined) continue;
      const { tid, program } = thread;
      const folder = join(resolve(out), names.get(thread) ?? '');
      const own = thread.comm || program.comm;
      const { gaps } = writer.branches;
      const { replaced: replacedMappings, mappings } = program.map;
      const facts = { pid: program.pid, tid, comm: own, pieces: 1, gaps, replacedMappings };
      if (isThere(folder)) {
        const problem = `${folder} exists already`;
        threads.push({ ...facts, folder: undefined, traceBytes: 0, problem });
        continue;
      }
      const content = {
        trace: streamMaybeGzip(writer.file),
        map: await this.#maps.text(mappings),
        name,
        label,
        family,
        recording: { schemaVersion: 1, tool: 'perf script', sharesProcessor: false, ...facts },
      };
      const bytes = await writeSampleFolder(folder, content, signal);
      this.#options.collection.keep();
      traceBytes += bytes;
      threads.push({ ...facts, folder, traceBytes: bytes });
    }
    return {
      path,
      threads,
      losses: {
        truncated: 0,
        partial: 0,
        collisions: 0,
        records: 0,
        unknownRecords: 0,
        badMappings: this.#badMappings,
      },
      traceBytes,
      bytesSkipped: 0,
      bytesOverlapping: 0,
      bytesOfOthers: 0,
      damage: [],
      missing: this.#maps.missing,
    };
  }

  dispose(): void {
    this.#codeCache.dispose();
  }

  async #branch({ pid, tid, from, to, isAsync }: ScriptLine & { kind: 'branch' }): Promise<void> {
    // Between two addresses of the kernel nothing of ours happens.
    if (from === undefined && to === undefined) return;
    const thread = this.#processes.thread(pid, tid);
    const code = await this.#codeOf(thread.program);
    let writer = this.#writers.get(thread);
    if (writer === undefined) {
      writer = this.#writer(code.bitness);
      this.#writers.set(thread, writer);
    }
    if (from === undefined) {
      if (to !== undefined) writer.branches.begin(to);
    } else writer.branches.branch(code.graph, from, to, isAsync);
    if (this.#waiting > maxWaiting) await this.#drain();
  }

  #writer(bitness: 32 | 64): Writer {
    const waiting: Uint8Array[] = [];
    const encoder = new PtEncoder(
      (bytes) => {
        waiting.push(bytes);
        this.#waiting += bytes.length;
      },
      { bitness, compressReturns: true },
    );
    const file = join(this.#work, String(this.#writers.size));
    return { file, encoder, branches: new BranchEncoder(encoder, bitness), waiting };
  }

  #changed(program: PerfProgram): void {
    this.#changes.set(program, (this.#changes.get(program) ?? 0) + 1);
  }

  async #codeOf(program: PerfProgram): Promise<Code> {
    const known = this.#codes.get(program);
    const mappings = this.#changes.get(program) ?? 0;
    if (known?.mappings === mappings) return known;
    if (program.map.mappings.length === 0) {
      throw new UserError(
        'perf-script-no-maps',
        `does not say what process ${program.pid} had mapped: print it with --show-mmap-events --show-task-events`,
        { category: 'input', path: this.#options.path },
      );
    }
    const text = await this.#maps.text(program.map.mappings);
    // What came to the collection since is seen by a new store only.
    const { folder } = this.#options.collection;
    // None of the mapped files may have been found.
    const store = new ImageStore(isThere(folder) ? [folder] : []);
    const space = await buildAddressSpace(parseMemoryMap(text, this.#options.path), store);
    const is32 = space.sections.some(({ bits }) => bits === 32);
    const graph = new ControlFlowGraph(space, this.#codeCache);
    const code: Code = { mappings, graph, bitness: is32 ? 32 : 64 };
    this.#codes.set(program, code);
    return code;
  }

  async #drain(): Promise<void> {
    for (const { file, waiting } of this.#writers.values()) {
      const bytes = Buffer.concat(waiting.splice(0));
      try {
        await appendFile(file, bytes);
      } catch (cause) {
        throw new UserError('write-failed', `cannot be written: ${messageOf(cause)}`, {
          category: 'runtime',
          path: file,
          cause,
        });
      }
    }
    this.#waiting = 0;
  }
}

async function* linesOf(path: string, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of streamMaybeGzip(path)) {
    signal?.throwIfAborted();
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    // No line of perf's is longer; this is no text of it.
    if (rest.length > 1 << 20) rest = '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}
