import { Random } from '../../src/base/random.ts';
import type {
  EvidenceKind,
  Fact,
  ReportComparison,
  ReportData,
  ReportPatch,
  ReportRow,
  ReportTransfer,
  RocPoint,
  Timeline,
} from '../../src/report/data/report-data.ts';

export interface MadeUpOptions {
  readonly traces?: number;
  readonly bins?: number;
  readonly seed?: number;
}

const families = ['rop', 'coop', 'srop', 'ret2libc', 'mimicry'] as const;
const functions = [
  'libpoppler.so.126!Parser::getObj+0x1c2',
  'libpoppler.so.126!Lexer::getObj+0x88',
  'libpoppler.so.126!TextPage::coalesce+0x40f',
  'libc.so.6!malloc+0x31',
  'libc.so.6!__libc_start_main+0x85',
  'libfreetype.so.6!FT_Load_Glyph+0x12d',
  'pdftotext!main+0x6d3',
];

const comparison: ReportComparison = {
  ...{ runs: 200, nearest: 'nominal-0077', similarity: 0.941, onlyHere: 212, onlyThere: 40 },
  partings: [
    { position: 91_200, from: functions[0]!, to: functions[1]!, running: 17 },
    { position: 120_400, from: functions[2]!, to: functions[3]!, running: 0 },
  ],
  partingsTotal: 9,
};

const recording: readonly Fact[] = [
  { name: 'Command line', value: "/usr/bin/pdftotext 'a b.pdf' -" },
  { name: 'Program', value: '/usr/bin/pdftotext, build id 57f2a1bce0' },
  { name: 'Recorded by', value: 'qemu by Wayward 0.1.0' },
];

/** A report as a run on `pdftotext` looks, with invented numbers from a seed: for tests and for looking at. */
export function madeUpReport(options: MadeUpOptions = {}): ReportData {
  const count = options.traces ?? 42;
  const random = new Random(options.seed ?? 7);
  const rows: ReportRow[] = [];
  for (let i = 0; i < count; i++) {
    const kind = i % 21;
    rows.push(kind < 9 ? attack(i, random, options) : quiet(i, kind < 14, random, options));
  }
  const test = rows.filter((row) => row.role === 'test');
  const roc = rocOf(test);
  const attacks = test.filter((row) => row.label === 'anomalous');
  const found = attacks.filter((row) => row.verdict === 'anomalous').length;
  const benign = test.filter((row) => row.label === 'nominal');
  const alarms = benign.filter((row) => row.verdict === 'anomalous').length;
  const data = 'held-out' as const;
  return {
    unit: 'block',
    title: 'pdftotext 22.12: nominal against hijacked',
    created: '2026-11-24T09:30:00Z',
    generator: 'Wayward 0.1.0',
    run: [
      { name: 'Model', value: 'n-gram backoff, windows of 32 blocks, vocabulary of 23 590 blocks' },
      { name: 'Model fingerprint', value: '9f3ac11b20d7e845' },
      { name: 'Training', value: '200 nominal traces, 52.7 M windows, 171 204 distinct' },
      { name: 'Seed', value: '1' },
      { name: 'Options', value: '--filter ret,icall,ijmp --fpr 0.01 --features all' },
      { name: 'Node', value: '22.18.0' },
    ],
    rule: {
      summary:
        'A trace is flagged when its p-value against 120 nominal calibration traces is at most 0.01: about one nominal trace in a hundred is a false alarm.',
      scoreName: 'surprise of the worst five transfers (nats)',
      threshold: 18.4,
      falsePositiveRate: 0.01,
    },
    rows,
    figures: [
      figure('Anomalous traces found', found, attacks.length, 'All traces', data),
      figure('Nominal traces flagged', alarms, benign.length, 'All traces', data),
      {
        ...figure('AUC', 0, 1, 'All traces', data),
        value: area(roc),
        low: 0.93,
        high: 0.998,
        unit: 'number',
        count: undefined,
        total: undefined,
      },
      figure('Precision', found, found + alarms, 'All traces', data),
      ...families.map((family) => {
        const of = attacks.filter((row) => row.family === family);
        return figure(
          `${family} found`,
          of.filter((row) => row.verdict === 'anomalous').length,
          of.length,
          'By family',
          data,
        );
      }),
      figure(
        'Anomalous traces found, linear SVM',
        found,
        attacks.length,
        'Classic features',
        'cross-validation',
      ),
      figure(
        'Anomalous traces found, linear SVM',
        attacks.length,
        attacks.length,
        'Classic features',
        'fitted',
      ),
    ],
    roc: [
      { name: 'all evidence', points: roc, area: area(roc), low: 0.93, high: 0.998, data },
      {
        name: 'misprediction rate alone',
        points: weak(roc),
        area: 0.58,
        low: 0.51,
        high: 0.66,
        data,
      },
    ],
    line: { mispredictionWeight: 40, confidenceWeight: 3, bias: -3 },
    skipped: [
      { name: 'nominal-0311', reason: 'mapping.txt is missing' },
      { name: 'nominal-0312', reason: 'evaluation is of another model (c0ffee12)' },
    ],
    warnings: [
      'The newest nominal traces score higher than the calibration traces (p = 0.004): the program or its inputs may have changed. Recalibrate before trusting the rate of false alarms.',
    ],
  };
}

function figure(
  name: string,
  count: number,
  total: number,
  group: string,
  data: 'held-out' | 'fitted' | 'cross-validation',
) {
  const value = total === 0 ? 0 : count / total;
  const half = 1.96 * Math.sqrt(Math.max(0.01, value * (1 - value)) / Math.max(1, total));
  return {
    name,
    value,
    count,
    total,
    group,
    data,
    low: Math.max(0, value - half),
    high: Math.min(1, value + half),
    confidence: 0.95,
    unit: 'rate' as 'rate' | 'number',
  };
}

function attack(i: number, random: Random, options: MadeUpOptions): ReportRow {
  const family = families[i % families.length]!;
  const blocks = 400_000 + random.below(2_400_000);
  const start = Math.floor(blocks * (0.2 + 0.6 * random.uniform()));
  const length = 5 + random.below(180);
  const isMissed = family === 'mimicry' && random.uniform() < 0.4;
  const mismatches = family === 'coop' ? 0 : 2 + random.below(9);
  const evidence: { kind: EvidenceKind; position: number }[] = [];
  for (let k = 0; k < mismatches; k++) {
    evidence.push({
      kind: k % 4 === 3 ? 'mid-instruction' : 'return-mismatch',
      position: start + k * 3,
    });
  }
  if (family === 'coop') evidence.push({ kind: 'not-a-function-entry', position: start + 2 });
  const patches = [
    patchAt(start, length, 34.2 * (0.6 + random.uniform()), random, evidence),
    patchAt(Math.floor(start * 0.4), 12, 9.1, random, []),
  ];
  return {
    ...base(i, blocks, random),
    name: `${family}-${String(i).padStart(4, '0')}`,
    file: `${family}_${i}.pdf`,
    label: 'anomalous',
    family,
    verdict: isMissed ? 'nominal' : 'anomalous',
    pValue: isMissed ? 0.034 : 1 / 121,
    score: isMissed ? 14 + random.uniform() * 4 : 19 + random.uniform() * 40,
    evidenceCounts: {
      'return-mismatch': evidence.filter((e) => e.kind === 'return-mismatch').length,
      'mid-instruction': evidence.filter((e) => e.kind === 'mid-instruction').length,
      'not-a-function-entry': evidence.filter((e) => e.kind === 'not-a-function-entry').length,
    },
    reasons: isMissed
      ? [
          'No feature is as unusual as the accepted rate of false alarms asks for.',
          'Closest: surprise of the worst five transfers, p = 0.034.',
        ]
      : [
          ...(mismatches > 0
            ? [
                `${mismatches} returns did not go to their call, the first at block ${start.toLocaleString('en')} in libpoppler.so.126!Parser::getObj.`,
              ]
            : ['An indirect call went to an address that is no function entry.']),
          'The worst five transfers are more surprising than in any of the 120 calibration traces (p = 0.0083).',
        ],
    detail: {
      timeline: timelineOf(blocks, options.bins ?? 480, random, [[start, length]], evidence),
      patches,
      evidence: evidence.map((e) => ({
        kind: e.kind,
        position: e.position,
        traceOffset: Math.floor(e.position * 0.31),
        from: functions[e.position % functions.length]!,
        to: functions[(e.position + 3) % functions.length]!,
        expected:
          e.kind === 'return-mismatch'
            ? functions[(e.position + 1) % functions.length]!
            : undefined,
        count: 3,
        lastPosition: e.position + 90,
        nominal: { holding: 0, runs: 200 },
      })),
      evidencePlaces: evidence.length + 4,
      evidenceTotal: 3 * evidence.length,
      nominal: comparison,
      recording,
    },
  };
}

function quiet(i: number, isControl: boolean, random: Random, options: MadeUpOptions): ReportRow {
  const blocks = 300_000 + random.below(2_000_000);
  const isCalibration = i % 21 === 20;
  const isAlarm = isControl && random.uniform() < 0.12;
  const score = isAlarm ? 21.3 : 3 + random.uniform() * (isControl ? 14 : 9);
  return {
    ...base(i, blocks, random),
    name: isControl
      ? `control-${String(i).padStart(4, '0')}`
      : `nominal-${String(i).padStart(4, '0')}`,
    file: isControl ? `truncated xref ${i}.pdf` : `report-${i}.pdf`,
    label: 'nominal',
    family: isControl ? 'control' : undefined,
    role: isCalibration ? 'calibration' : 'test',
    // As in a report from nominal traces, what calibrates is not judged.
    verdict: isCalibration ? undefined : isAlarm ? 'anomalous' : 'nominal',
    pValue: isAlarm
      ? 1 / 121
      : (1 + Math.floor(120 * (1 - score / 19) * random.uniform())) / 121 + 0.01,
    score,
    reasons: isAlarm
      ? [
          'The worst five transfers are more surprising than in any of the 120 calibration traces (p = 0.0083).',
        ]
      : [],
    detail: {
      timeline: timelineOf(
        blocks,
        options.bins ?? 480,
        random,
        isControl ? [[blocks * 0.7, blocks * 0.05]] : [],
        [],
      ),
      patches: isAlarm ? [patchAt(Math.floor(blocks * 0.7), 44, 21.3, random, [])] : [],
      evidence: [],
      evidencePlaces: 0,
      evidenceTotal: 0,
      nominal: comparison,
    },
  };
}

function base(i: number, blocks: number, random: Random): ReportRow {
  const gaps = random.uniform() < 0.2 ? random.below(7) : 0;
  return {
    name: `trace-${i}`,
    directory: `/data/pdftotext/traces/trace-${i}`,
    file: '',
    label: undefined,
    family: undefined,
    role: 'test',
    verdict: undefined,
    pValue: undefined,
    score: undefined,
    mispredictionRate: 0.008 + 0.02 * random.uniform(),
    wrongConfidence: 0.4 + 0.35 * random.uniform(),
    unknownBlockRate: 0.0002 + 0.003 * random.uniform() ** 3,
    blocks,
    predictions: Math.floor(blocks * 0.14),
    gaps,
    overflows: 0,
    bytesLost: gaps * 412,
    blocksOutsideImages: 0,
    crashed: false,
    evidenceCounts: gaps > 0 ? { gap: gaps } : {},
    features: [
      {
        key: 'worst-nll-5',
        name: 'surprise of the worst 5 transfers (nats)',
        value: 12.3 + random.uniform(),
        pValue: 0.0083,
      },
      { key: 'worst-wrong-50', name: 'mispredictions in the worst 50', value: 21, pValue: 0.05 },
      { key: 'unseenTransferRate', name: 'unseen transfers', value: 12, pValue: 0.21 },
      { key: 'nll', name: 'mean negative log-likelihood', value: 0.0834, pValue: 0.61 },
    ],
    reasons: [],
    detail: undefined,
  };
}

function patchAt(
  start: number,
  length: number,
  score: number,
  random: Random,
  evidence: readonly { kind: EvidenceKind; position: number }[],
): ReportPatch {
  const transfers: ReportTransfer[] = [];
  for (let k = -14; k < 26; k++) {
    const isInside = k >= 0 && k < Math.min(16, length / 3);
    const isCorrect = isInside ? random.uniform() < 0.2 : random.uniform() < 0.97;
    const position = start + k * 3;
    transfers.push({
      position,
      isInside,
      isCorrect,
      isUnknown: isInside && !isCorrect && random.uniform() < 0.3,
      from: functions[random.below(functions.length)]!,
      came: functions[random.below(functions.length)]!,
      expected: random.uniform() < 0.9 ? functions[random.below(functions.length)]! : undefined,
      expectedProbability: 0.5 + 0.5 * random.uniform(),
      cameProbability: isCorrect ? 0.9 : 0.00003,
      nominal: { runs: 200, going: isCorrect ? 140 : 0, running: isInside ? 3 : 200 },
      evidence: isInside ? evidence.find((e) => e.position === position)?.kind : undefined,
    });
  }
  return {
    firstBlock: start,
    lastBlock: start + length - 1,
    traceOffset: Math.floor(start * 0.31),
    time: undefined,
    score,
    modules: ['libpoppler.so.126', 'libc.so.6'],
    before: functions[0]!,
    inside: functions[3]!,
    after: functions[2]!,
    callStack: [functions[1]!, `${functions[0]!} (Parser.cc:57)`],
    ...(evidence.length === 0
      ? {}
      : {
          occurrences: [0, 400, 900].map((later) => ({
            ...{ firstBlock: start + later, lastBlock: start + later + 20 },
            ...{ traceOffset: Math.floor(start * 0.31) + later, time: 5000 + later },
            score: score - later / 100,
          })),
        }),
    nominal: { runs: 200, blocks: 12, inAll: 3, inNone: 7 },
    fingerprint: 'libpoppler.so.126+0x81b3>libc.so.6+0x12e55',
    transfers,
    listing: [
      {
        part: 'before',
        address: '0x7f21c04e81b0',
        place: 'libpoppler.so.126!Parser::getObj+0x1a0',
        text: 'mov rdi, rbx',
      },
      { part: 'before', address: '0x7f21c04e81b3', place: '', text: 'call qword ptr [rax+18h]' },
      {
        part: 'inside',
        address: '0x7f21bff12e55',
        place: 'libc.so.6!setcontext+0x35',
        text: 'pop rdi',
      },
      { part: 'inside', address: '0x7f21bff12e56', place: '', text: 'ret' },
      {
        part: 'inside',
        address: '0x7f21bff3a1c0',
        place: 'libc.so.6!mprotect',
        text: 'mov eax, 0Ah',
      },
      { part: 'inside', address: '0x7f21bff3a1c5', place: '', text: 'syscall' },
      {
        part: 'after',
        address: '0x7f21c04e81b6',
        place: 'libpoppler.so.126!Parser::getObj+0x1a6',
        text: 'test rax, rax',
      },
    ],
  };
}

function timelineOf(
  blocks: number,
  bins: number,
  random: Random,
  bad: readonly (readonly [number, number])[],
  events: readonly { kind: EvidenceKind; position: number }[],
): Timeline {
  const wrong = new Float32Array(bins);
  const worst = new Float32Array(bins);
  const unknown = new Float32Array(bins);
  let level = 0.02;
  for (let i = 0; i < bins; i++) {
    level = Math.min(0.06, Math.max(0.002, level + 0.006 * random.normal()));
    wrong[i] = level;
    worst[i] = Math.min(1, level * 4 + 0.15 * random.uniform());
    unknown[i] = random.uniform() < 0.03 ? 0.08 * random.uniform() : 0;
    for (const [start, length] of bad) {
      if (((i + 1) * blocks) / bins < start || (i * blocks) / bins > start + length) continue;
      wrong[i] = Math.max(0.06, wrong[i]!);
      worst[i] = 0.9;
      unknown[i] = 0.2;
    }
  }
  return {
    blocks,
    lanes: [
      { name: 'wrong predictions', mean: wrong, peak: worst },
      { name: 'unknown blocks', mean: unknown, peak: undefined },
    ],
    events,
  };
}

function rocOf(rows: readonly ReportRow[]): RocPoint[] {
  const nominal = rows.filter((row) => row.label === 'nominal').length;
  const anomalous = rows.length - nominal;
  const points: RocPoint[] = [
    { threshold: Number.POSITIVE_INFINITY, falsePositiveRate: 0, truePositiveRate: 0 },
  ];
  let fp = 0;
  let tp = 0;
  for (const row of [...rows].sort((a, b) => b.score! - a.score!)) {
    if (row.label === 'nominal') fp++;
    else tp++;
    points.push({
      threshold: row.score!,
      falsePositiveRate: fp / Math.max(1, nominal),
      truePositiveRate: tp / Math.max(1, anomalous),
    });
  }
  return points;
}

function area(points: readonly RocPoint[]): number {
  let sum = 0;
  for (let i = 1; i < points.length; i++) {
    sum +=
      ((points[i]!.falsePositiveRate - points[i - 1]!.falsePositiveRate) *
        (points[i]!.truePositiveRate + points[i - 1]!.truePositiveRate)) /
      2;
  }
  return sum;
}

function weak(points: readonly RocPoint[]): RocPoint[] {
  return points.map((p) => ({
    ...p,
    truePositiveRate: 0.8 * p.falsePositiveRate + 0.2 * p.falsePositiveRate ** 0.4,
  }));
}
