import { cpSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, gunzipSync, gzipSync } from 'node:zlib';
import { Damage } from '../src/base/bytes/byte-reader.ts';
import { UserError } from '../src/base/errors.ts';
import { sealJson, unsealJson } from '../src/base/files/sealed.ts';
import { silentLogger } from '../src/base/log.ts';
import { Random } from '../src/base/random.ts';
import { learn } from '../src/commands/learn.ts';
import { packFiles } from '../src/commands/profile/archive.ts';
import { openProfile } from '../src/commands/profile/profile.ts';
import { readRunRecord, runFolder } from '../src/commands/run/folder.ts';
import { noteQueueRun, readQueueRun } from '../src/commands/run/queue-run.ts';
import { loadTrained } from '../src/commands/run/trained.ts';
import type { LearnRequest } from '../src/commands/training/options.ts';
import { decodeEvaluation, decodeSummary, encodeEvaluation } from '../src/evaluation/file.ts';
import { TransferProfile } from '../src/evidence/profile.ts';
import { parseMemoryMaps } from '../src/image/maps/memory-map.ts';
import { describeNetwork } from '../src/model/foreign/keras/description.ts';
import { parseKerasNetwork } from '../src/model/foreign/keras/network.ts';
import { Lstm } from '../src/model/lstm/lstm.ts';
import { readReport } from '../src/sequences/calls/report-log.ts';
import { readSample } from '../src/trace/sample.ts';
import { parseDictionary } from '../src/trace/stored-dictionary.ts';
import { featureNames } from '../src/verdict/features/feature-table.ts';
import { loadClassifier, saveClassifier } from '../src/verdict/labelled/classify-labelled.ts';
import { featuresOfLeftOut, noveltyOf, readLeftOut } from '../src/verdict/left-out.ts';
import { exampleEvaluation } from './example-evaluation.ts';
import { writeTinyCorpus } from './tiny-corpus.ts';
import { tinyLearn } from './tiny-learn.ts';
import { unpackedProfile } from './unpacked-profile.ts';

// JSON that is well formed and sealed, and says what it should not: every reader of a file gives a
// result or an error that names the file, whatever stands where.

/** A kind of file that holds JSON. */
export interface JsonSubject {
  readonly name: string;
  readonly json: unknown;
  /** Reads it with other JSON in it. */
  read(json: unknown): Promise<unknown> | unknown;
}

/** @returns why an error is none that a reader may throw; `undefined` for one that it may */
export function notAllowed(error: unknown): string | undefined {
  if (error instanceof UserError || error instanceof Damage) return undefined;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Stands for lists in lists, so deep that writing them takes more stack than there is; see `textOf`. */
const deep = '@deep';
const deepText = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;

/** @returns JSON; what `deep` stands for in the place of it */
function textOf(json: unknown): string {
  return (JSON.stringify(json) ?? '').replaceAll(`"${deep}"`, deepText);
}

/** What nobody expects, or only somewhere else. */
const strange: readonly unknown[] = [
  ...[null, true, '', 'x', '__proto__', 'x'.repeat(70_000), '\u0000\ud800', '1e999'],
  ...[0, -1, 0.5, 1e308, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e9],
  ...[[], {}, [null], [[]], { toString: 1 }, { length: 2 ** 31 }, deep],
];

/** @returns the same JSON with one to three of its values exchanged, left out, doubled or added to */
export function strangeJson(json: unknown, draw: Random): unknown {
  const root = { root: structuredClone(json) };
  for (let n = 1 + draw.below(3); n > 0; n--) {
    const places = placesIn(root);
    if (places.length === 0) break;
    const place = places[draw.below(places.length)];
    if (place === undefined) break;
    const [holder, key] = place;
    const kind = draw.below(8);
    if (kind === 0) delete holder[key];
    else if (kind === 1 && Array.isArray(holder)) holder.push(holder[Number(key)]);
    else if (kind === 2) holder[`${key}x`] = holder[key];
    else holder[key] = structuredClone(strange[draw.below(strange.length)]);
  }
  return root.root;
}

/**
 * @param most  of the places, spread over all
 * @returns the same JSON with one of its values exchanged for `value`, for one place after the other
 */
export function* eachExchanged(json: unknown, value: unknown, most: number): Generator<unknown> {
  const { length } = placesIn({ root: json });
  const step = Math.max(1, Math.ceil(length / most));
  for (let i = 0; i < length; i += step) {
    const root = { root: structuredClone(json) };
    const place = placesIn(root)[i];
    if (place === undefined) return;
    place[0][place[1]] = value;
    yield root.root;
  }
}

/** Every value but the root's holder, as what holds it and under which key; some of what is long. */
function placesIn(root: object): [Record<string, unknown>, string][] {
  const places: [Record<string, unknown>, string][] = [];
  const open: unknown[] = [root];
  while (open.length > 0 && places.length < 2000) {
    const holder = open.pop() as Record<string, unknown>;
    for (const key of Object.keys(holder).slice(0, 40)) {
      places.push([holder, key]);
      const value = holder[key];
      if (typeof value === 'object' && value !== null) open.push(value);
    }
  }
  return places;
}

const quiet = { log: silentLogger, progress: (): void => {} };
const loading = { workers: 1, device: 'cpu', seed: 1 };

/** @param folder  empty, for files that are written again and again */
export async function jsonSubjects(folder: string): Promise<readonly JsonSubject[]> {
  const corpus = join(folder, 'corpus');
  renameSync(writeTinyCorpus(8, 3), corpus);
  const learned = async (how: Partial<LearnRequest>): Promise<string> => {
    const request = { root: corpus, out: folder, preprocessed: true, workers: 1 };
    return (await learn({ ...request, ...how }, quiet)).folder.root;
  };
  const ngram = await learned({ ...tinyLearn, model: 'ngram' });
  const network = await learned(tinyLearn);
  const histories = await learned({});
  return [
    ...runSubjects('n-gram', ngram),
    ...runSubjects('network', network),
    ...runSubjects('histories', histories),
    await profileSubject(folder, histories),
    await classifierSubject(folder),
    await queueSubject(folder),
    recordingSubject(folder),
    evaluationSubject(),
    dictionarySubject(),
    ...foreignSubjects(await kerasOf(network)),
  ];
}

async function kerasOf(run: string): Promise<unknown> {
  const { layer } = await loadTrained(run, loading);
  if (!(layer instanceof Lstm)) throw new Error('the run trained no network');
  const description = describeNetwork(layer, undefined);
  await layer.dispose();
  return description;
}

/** A sealed file that is there. */
function sealed(path: string, name: string, read: () => Promise<unknown>): JsonSubject {
  const json = unsealJson(readFileSync(path, 'utf8'), path);
  return {
    name,
    json,
    async read(other) {
      writeFileSync(path, sealed32(other));
      try {
        return await read();
      } finally {
        writeFileSync(path, sealJson(json));
      }
    },
  };
}

/** With a right checksum, as far as there can be one. */
function sealed32(json: unknown): string {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return textOf(json);
  return sealJson(json).replaceAll(`"${deep}"`, deepText);
}

/** A file compressed with gzip. */
function packed(path: string, name: string, read: () => Promise<unknown>): JsonSubject {
  const bytes = readFileSync(path);
  return {
    name,
    json: JSON.parse(gunzipSync(bytes).toString()),
    async read(other) {
      writeFileSync(path, gzipSync(textOf(other), { level: 1 }));
      try {
        return await read();
      } finally {
        writeFileSync(path, bytes);
      }
    },
  };
}

function runSubjects(kind: string, root: string): JsonSubject[] {
  const folder = runFolder(root);
  const load = async (): Promise<void> => {
    const { layer } = await loadTrained(root, loading);
    await layer.dispose();
  };
  const model = (name: string): string => join(folder.model, name);
  const leftOut = async (): Promise<void> => {
    const found = await readLeftOut(folder.model);
    if (found === undefined) return;
    noveltyOf(found);
    featuresOfLeftOut(found);
  };
  return [
    sealed(folder.record, `run.json, ${kind}`, () => readRunRecord(folder)),
    sealed(model('model.json'), `model.json, ${kind}`, load),
    sealed(model('trained.json'), `trained.json, ${kind}`, load),
    packed(`${folder.vocabulary}.json.gz`, `vocabulary, ${kind}`, load),
    packed(model('transfers.gz'), `transfers, ${kind}`, () =>
      TransferProfile.load(model('transfers.gz')),
    ),
    ...(kind === 'histories' ? [sealed(model('left-out.json'), 'left-out.json', leftOut)] : []),
  ];
}

async function profileSubject(folder: string, root: string): Promise<JsonSubject> {
  const path = join(folder, 'a.wayward');
  cpSync(join(root, 'profile.wayward'), path);
  const files = await unpackedProfile(path);
  const text = Buffer.from(files.get('profile.json') ?? '').toString();
  return {
    name: 'profile.json',
    json: unsealJson(text, path),
    async read(other) {
      files.set('profile.json', Buffer.from(sealed32(other)));
      writeFileSync(path, packFiles(files));
      const profile = await openProfile(path);
      await profile.close();
    },
  };
}

async function classifierSubject(folder: string): Promise<JsonSubject> {
  const path = join(folder, 'svm.json');
  const features = featureNames.slice(0, 2);
  await saveClassifier(path, {
    ...{ features, model: 'ngram', force: false, cost: 1, madeFrom: ['a'] },
    fittedOn: { nominal: 3, anomalous: 3 },
    plane: { centre: [0, 0], scale: [1, 1], weights: [1, 1], bias: 0 },
  });
  return sealed(path, 'classifier', () => loadClassifier(path));
}

async function queueSubject(folder: string): Promise<JsonSubject> {
  await noteQueueRun(folder, 'learn', { root: 'x' });
  return sealed(join(folder, 'queue.json'), 'queue.json', () => readQueueRun(folder, 'learn'));
}

function recordingSubject(folder: string): JsonSubject {
  const sample = join(folder, 'corpus', 'b000');
  const path = join(sample, 'recording.json');
  writeFileSync(path, sealJson({ sharesProcessor: true, mtc: { frequency: 3, ratio: [1, 2] } }));
  return sealed(path, 'recording.json', () => readSample(sample));
}

function evaluationSubject(): JsonSubject {
  const rows = [{ predicted: 1, actual: 2, confidence: 0.5 }];
  const bytes = Buffer.from(
    encodeEvaluation(exampleEvaluation(rows), { version: 1, values: { a: 1 } }),
  );
  // Magic and version, then the length of the description.
  const start = bytes.indexOf('{') - 4;
  const end = start + 4 + bytes.readUInt32LE(start);
  return {
    name: 'evaluation',
    json: JSON.parse(bytes.toString('utf8', start + 4, end)),
    read(other) {
      const text = Buffer.from(textOf(other));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      const body = Buffer.concat([
        ...[bytes.subarray(0, start), length, text],
        bytes.subarray(end, -4),
      ]);
      const sum = Buffer.alloc(4);
      sum.writeUInt32LE(crc32(body));
      const whole = Buffer.concat([body, sum]);
      decodeSummary(whole);
      return decodeEvaluation(whole);
    },
  };
}

function dictionarySubject(): JsonSubject {
  const json = {
    modules: [{ path: '/bin/a', name: 'a', base: 4096 }],
    marks: [{ kind: 'gap', traceOffset: 1, reason: 'no-image', address: 5, bytesLost: 0 }],
    summary: {
      ...{ traceBytes: 9, blocks: 3, distinctBlocks: 0, gaps: 1, overflows: 0 },
      ...{ bytesLost: 0, asyncTransfers: 0, crashed: false },
    },
    chunks: [{ offset: 100, length: 10, crc: 1, firstBlock: 0 }],
    blocks: 0,
    bitness: [],
    origin: undefined,
  };
  return {
    name: 'stored trace',
    json,
    read(other) {
      const text = Buffer.from(textOf(other));
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      // Its caller names the file, whatever goes wrong.
      try {
        return parseDictionary(Buffer.concat([length, text]), 1000);
      } catch (error) {
        throw new Damage(String(error));
      }
    },
  };
}

function foreignSubjects(keras: unknown): JsonSubject[] {
  const rows = [
    { Pid: 1, Process: 'a', Base: 4096, MappedPath: '\\a', __children: [] },
    { Pid: 1, Process: 'a', Base: 8192, MappedPath: null, __children: [] },
  ];
  const ranges = [
    { PID: 1, Process: 'a', Start: 1, End: 9, Flags: 'r-x', PgOff: 0, 'File Path': '/a' },
  ];
  const report = JSON.parse(
    readFileSync(new URL('fixtures/reports/cape.json', import.meta.url), 'utf8'),
  );
  async function* once(json: unknown): AsyncGenerator<Uint8Array> {
    yield Buffer.from(textOf(json));
  }
  return [
    {
      name: 'keras',
      json: keras,
      read: (json) => parseKerasNetwork(Buffer.from(textOf(json)), 'model.json', 4),
    },
    ...[rows, ranges].map((json, i) => ({
      name: `volatility ${i}`,
      json,
      read: (other: unknown) => parseMemoryMaps(textOf(other), 'map'),
    })),
    { name: 'report', json: report, read: (json) => readReport(once(json)) },
  ];
}

/**
 * @returns whether work that took long takes as long of the processor, which is dear to ask for each time: other
 *   processes may have kept it waiting
 */
export async function isSlow(work: () => unknown, slowMs: number): Promise<boolean> {
  const before = process.cpuUsage();
  try {
    await work();
  } catch {
    // It was refused before, too.
  }
  const { user, system } = process.cpuUsage(before);
  return user + system > slowMs * 1000;
}

/** Of the processor: what is read takes a few milliseconds. */
const slowMs = 5000;

/**
 * Reads a file `inputs` times, each time with other values in it, then with one value after the other exchanged for
 * nothing, an empty object and an empty list, in up to half as many places each.
 *
 * @throws Error with what a reader threw that it may not, and the seed that repeats it
 */
export async function tryStrangeJson(
  { name, json, read }: JsonSubject,
  inputs: number,
  seed: number,
): Promise<{ readonly tried: number; readonly refused: number }> {
  let refused = 0;
  const drawn = Array.from(
    { length: inputs },
    (_, i) => () => strangeJson(json, new Random(seed * 0x9e3779b1 + i)),
  );
  const exchanged = [null, {}, []].flatMap((value) => [...eachExchanged(json, value, inputs / 2)]);
  const others = [...drawn, ...exchanged.map((other) => () => other)];
  for (const [i, make] of others.entries()) {
    const other = make();
    const before = performance.now();
    try {
      await read(other);
    } catch (error) {
      const why = notAllowed(error);
      const text = JSON.stringify(other)?.slice(0, 2000) ?? '';
      if (why !== undefined) throw new Error(`${name}, seed ${seed}, input ${i}: ${why}\n${text}`);
      refused++;
    }
    const ms = performance.now() - before;
    if (ms > slowMs && (await isSlow(() => read(other), slowMs))) {
      throw new Error(`${name}, seed ${seed}, input ${i} took ${ms} ms`);
    }
  }
  return { tried: others.length, refused };
}
