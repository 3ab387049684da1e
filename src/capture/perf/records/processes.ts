import type { Address } from '../../../base/address.ts';

/** A mapping of code, as MMAP and MMAP2 records tell it. */
export interface CodeMapping {
  readonly start: Address;
  readonly end: Address;
  readonly fileOffset: number;
  /** As the kernel gives it: a path, `[vdso]`, `//anon`. */
  readonly path: string;
  readonly buildId: string | undefined;
}

/** The kernel allows a process 65530 mappings (`vm.max_map_count`). */
const maxMappings = 65536;

/** Mappings of code, sorted; where they overlap, the later one holds. */
export class CodeMap {
  #mappings: CodeMapping[] = [];
  #isShared = false;
  /** Mappings that others were put in the place of. */
  replaced = 0;
  /** Grows with each change. */
  version = 0;
  leftOut = 0;

  get mappings(): readonly CodeMapping[] {
    return this.#mappings;
  }

  /** @returns a map that changes by itself */
  fork(): CodeMap {
    const copy = new CodeMap();
    copy.#mappings = this.#mappings;
    copy.#isShared = true;
    this.#isShared = true;
    return copy;
  }

  add(mapping: CodeMapping): void {
    if (this.#mappings.length >= maxMappings) {
      this.leftOut++;
      return;
    }
    this.version++;
    if (this.#isShared) {
      this.#mappings = [...this.#mappings];
      this.#isShared = false;
    }
    const mappings = this.#mappings;
    let low = 0;
    let high = mappings.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (mappings[middle].end <= mapping.start) low = middle + 1;
      else high = middle;
    }
    const first = low;
    let next = first;
    const pieces: CodeMapping[] = [];
    for (; next < mappings.length && mappings[next].start < mapping.end; next++) {
      const old = mappings[next];
      if (!isSame(old, mapping)) this.replaced++;
      if (old.start < mapping.start) pieces.push({ ...old, end: mapping.start });
      if (old.end > mapping.end) {
        const fileOffset = old.fileOffset + (mapping.end - old.start);
        pieces.push({ ...old, start: mapping.end, fileOffset });
      }
    }
    pieces.push(mapping);
    pieces.sort((a, b) => a.start - b.start);
    mappings.splice(first, next - first, ...pieces);
  }
}

/** A program in a process, from one `exec` to the next. */
export interface PerfProgram {
  readonly pid: number;
  readonly map: CodeMap;
  comm: string;
}

/** A thread while it runs one program; its trace becomes one sample. */
export interface PerfThread {
  readonly tid: number;
  readonly program: PerfProgram;
  /** Own name; empty = that of its program. */
  comm: string;
}

/** Which processes and threads there were. Events must come in the order of time. */
export class PerfProcesses {
  readonly #programs: Map<number, PerfProgram> = new Map();
  readonly #threads: Map<number, PerfThread> = new Map();

  /** @returns the thread as it is now; a new one when nothing was heard of it */
  thread(pid: number, tid: number): PerfThread {
    const known = this.#threads.get(tid);
    if (known !== undefined && (pid < 0 || known.program.pid === pid)) return known;
    const program = this.#program(pid < 0 ? tid : pid);
    const thread: PerfThread = { tid, program, comm: '' };
    this.#threads.set(tid, thread);
    return thread;
  }

  map(pid: number, mapping: CodeMapping): void {
    this.#program(pid).map.add(mapping);
  }

  name(pid: number, tid: number, comm: string): void {
    this.thread(pid, tid).comm = comm;
    if (pid === tid) this.#program(pid).comm = comm;
  }

  /** The thread runs another program from now on. */
  exec(pid: number, tid: number, comm: string): PerfThread {
    const program: PerfProgram = { pid, map: new CodeMap(), comm };
    this.#programs.set(pid, program);
    const thread: PerfThread = { tid, program, comm };
    this.#threads.set(tid, thread);
    return thread;
  }

  fork(pid: number, parentPid: number, tid: number, parentTid: number): void {
    const parent = this.#program(parentPid);
    if (pid !== parentPid) {
      this.#programs.set(pid, { pid, map: parent.map.fork(), comm: parent.comm });
    }
    const comm = this.#threads.get(parentTid)?.comm ?? '';
    this.#threads.set(tid, { tid, program: this.#program(pid), comm });
  }

  #program(pid: number): PerfProgram {
    let program = this.#programs.get(pid);
    if (program === undefined) {
      program = { pid, map: new CodeMap(), comm: '' };
      this.#programs.set(pid, program);
    }
    return program;
  }
}

function isSame(a: CodeMapping, b: CodeMapping): boolean {
  return (
    a.path === b.path &&
    a.start - a.fileOffset === b.start - b.fileOffset &&
    a.buildId === b.buildId
  );
}
