import { type JsonScalar, JsonScanner, type JsonVisitor } from './json-scanner.ts';
import { CallRecorder, type ProcessCalls } from './recorder.ts';

/** What a sandbox report holds of calls. */
export interface ReportContent {
  readonly recorder: CallRecorder;
  /** Name of the file that the sandbox ran. */
  readonly target: string | undefined;
  readonly hasBehavior: boolean;
  /** "is cut off at byte 17", or what else is wrong with the document. */
  readonly damage: string | undefined;
}

/** Reads the calls of all processes of a Cuckoo 2 or CAPE report; see docs/formats.md. */
export async function readReport(input: AsyncIterable<Uint8Array>): Promise<ReportContent> {
  const visitor = new ReportVisitor();
  const scanner = new JsonScanner(visitor);
  for await (const piece of input) {
    scanner.write(piece);
    if (scanner.damage !== undefined) break;
  }
  const damage = scanner.finish();
  if (damage !== undefined) visitor.breakOff();
  const { recorder, target, hasBehavior } = visitor;
  return { recorder, target, hasBehavior, damage };
}

/** Objects and lists of a report that are gone into. */
type Place = 'report' | 'target' | 'file' | 'behavior' | 'processes' | 'process' | 'calls' | 'call';

/** What is read of an object or of the elements of a list. */
interface Layout {
  readonly kind: 'object' | 'list';
  /** Where objects and lists in it lead to, by name; the elements of a list have none. */
  readonly inner: Readonly<Record<string, Place>>;
  readonly scalars: ReadonlySet<string>;
}

const nothing: ReadonlySet<string> = new Set();

/** Where there are two names, the second is that of CAPE, and of Cuckoo 1. */
const layouts: Readonly<Record<Place, Layout>> = {
  report: { kind: 'object', inner: { target: 'target', behavior: 'behavior' }, scalars: nothing },
  target: { kind: 'object', inner: { file: 'file' }, scalars: nothing },
  file: { kind: 'object', inner: {}, scalars: new Set(['name']) },
  behavior: { kind: 'object', inner: { processes: 'processes' }, scalars: nothing },
  processes: { kind: 'list', inner: { '': 'process' }, scalars: nothing },
  process: {
    kind: 'object',
    inner: { calls: 'calls' },
    scalars: new Set(['pid', 'process_id', 'ppid', 'parent_id', 'process_name', 'track']),
  },
  calls: { kind: 'list', inner: { '': 'call' }, scalars: nothing },
  call: { kind: 'object', inner: {}, scalars: new Set(['api', 'tid', 'thread_id', 'repeated']) },
};

class ReportVisitor implements JsonVisitor {
  readonly recorder: CallRecorder = new CallRecorder();
  target: string | undefined;
  hasBehavior = false;
  readonly #places: Place[] = [];
  /** Name of the member under way; empty in a list. */
  #key = '';
  #processCount = 0;
  #process: ProcessCalls | undefined;
  /** Entries of the process so far, whatever they are. */
  #entries = 0;
  #api: JsonScalar;
  #thread = '';
  #times = 1;

  key(name = ''): boolean {
    this.#key = name;
    const { inner, scalars } = layouts[this.#places.at(-1) ?? 'report'];
    return scalars.has(name) || Object.hasOwn(inner, name);
  }

  open(kind: 'object' | 'list'): boolean {
    const around = this.#places.at(-1);
    const place = around === undefined ? 'report' : this.#innerOf(around);
    if (place === undefined || layouts[place].kind !== kind) {
      this.#oddElement(around);
      return false;
    }
    this.#places.push(place);
    this.#key = '';
    if (place === 'behavior') this.hasBehavior = true;
    if (place === 'process') this.#startProcess();
    if (place === 'call') this.#startCall();
    return true;
  }

  close(): void {
    const place = this.#places.pop();
    this.#key = '';
    if (place === 'call') this.#endCall();
    if (place === 'process') this.#process = undefined;
  }

  scalar(value: JsonScalar): void {
    const place = this.#places.at(-1);
    if (place === 'call') this.#takeOfCall(value);
    else if (place === 'process') this.#takeOfProcess(value);
    else if (place === 'file' && typeof value === 'string') this.target = baseName(value);
    else if (layouts[place ?? 'report'].kind === 'list') this.#oddElement(place);
  }

  /** The document ends in the middle. */
  breakOff(): void {
    this.#process?.addLoss();
  }

  #innerOf(around: Place): Place | undefined {
    const { inner } = layouts[around];
    return Object.hasOwn(inner, this.#key) ? inner[this.#key] : undefined;
  }

  #oddElement(place: Place | undefined): void {
    if (place === 'processes') {
      this.recorder.leftOut.add('processes that are no objects', this.#whereProcess);
      this.#processCount++;
    } else if (place === 'calls' && this.#process !== undefined) {
      this.#entries++;
      this.recorder.lose(this.#process, 'calls that are no objects', this.#where);
    }
  }

  #startProcess(): void {
    this.#processCount++;
    this.#entries = 0;
    this.#process = this.recorder.addProcess();
  }

  #takeOfProcess(value: JsonScalar): void {
    const process = this.#process;
    if (process === undefined) return;
    switch (this.#key) {
      case 'pid':
      case 'process_id':
        process.id = numberOf(value);
        break;
      case 'ppid':
      case 'parent_id':
        process.parent = numberOf(value);
        break;
      case 'process_name':
        if (typeof value === 'string') process.name = value;
        break;
      case 'track':
        process.isTracked = value !== false;
        break;
    }
  }

  #startCall(): void {
    this.#entries++;
    this.#api = undefined;
    this.#thread = '';
    this.#times = 1;
  }

  #takeOfCall(value: JsonScalar): void {
    switch (this.#key) {
      case 'api':
        this.#api = value;
        break;
      case 'tid':
      case 'thread_id':
        this.#thread = String(value);
        break;
      case 'repeated':
        // How often the same call followed: 0 is one call.
        if (typeof value === 'number' && value > 0) this.#times = 1 + Math.floor(value);
        break;
    }
  }

  #endCall(): void {
    if (this.#process === undefined) return;
    // CAPE notes anomalies of its own between the calls, with an empty name.
    if (this.#api === '') return;
    if (typeof this.#api === 'string') {
      this.recorder.add(this.#process, this.#thread, this.#api, this.#times, this.#where);
    } else {
      this.recorder.lose(this.#process, 'calls without the name of an API', this.#where);
    }
  }

  readonly #whereProcess = (): string => `process ${this.#processCount + 1} of the report`;
  readonly #where = (): string => `call ${this.#entries} of process ${this.#processCount}`;
}

/** CAPE writes some numbers as texts. */
function numberOf(value: JsonScalar): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

function baseName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}
