import { visible } from '../words/escape.ts';
import { type CallTimeline, forEachStack } from './call-timeline.ts';
import { jsonItems } from './json-list.ts';

/** Samples at most: the Firefox Profiler holds all of them in memory. */
const mostSamples = 200_000;
/** Milliseconds that a block takes. */
const blockTime = 0.001;
/** Position in `meta.categories`. */
const userCategory = 0;

/**
 * A call timeline as a Gecko profile, version 24, which is what `perf script report gecko` and
 * simpleperf write: one sample for every block, or for every n-th of a long stretch; a marker for each
 * flagged stretch. A block takes a microsecond.
 *
 * @see firefox-devtools/profiler, docs-developer/gecko-profile-format.md and src/types/gecko-profile.js
 */
export function* renderGecko(timeline: CallTimeline, generator: string): Generator<string> {
  const { start, end, frames, flagged, name } = timeline;
  const every = Math.max(1, Math.ceil((end - start) / mostSamples));
  const { samples, stacks } = sampleStacks(timeline, every);
  const markerName = frames.length;
  const strings = [
    ...frames.map((frame) =>
      frame.module === ''
        ? visible(frame.name)
        : `${visible(frame.name)} (in ${visible(frame.module)})`,
    ),
    'Flagged',
  ];
  const meta = {
    version: 24,
    interval: every * blockTime,
    startTime: 0,
    shutdownTime: null,
    processType: 0,
    product: generator,
    stackwalk: 1,
    debug: 0,
    gcpoison: 0,
    asyncstack: 1,
    presymbolicated: true,
    categories: [{ name: 'User', color: 'yellow', subcategories: ['Other'] }],
    markerSchema: [
      {
        name: 'Flagged',
        tableLabel: '{marker.data.reason}',
        chartLabel: '{marker.data.reason}',
        tooltipLabel: '{marker.data.reason}',
        display: ['marker-chart', 'marker-table', 'timeline-overview'],
        data: [{ key: 'reason', label: 'Reason', format: 'string' }],
      },
    ],
  };
  yield `{"meta":${JSON.stringify(meta)},"libs":[],"processes":[],"pausedRanges":[],"threads":[{`;
  yield `"name":${JSON.stringify(visible(name))},"processType":"default","pid":1,"tid":1,`;
  yield '"registerTime":0,"unregisterTime":null,"markers":{"schema":{"name":0,"startTime":1,';
  yield '"endTime":2,"phase":3,"category":4,"data":5},"data":[';
  // Phase 1 is an interval.
  yield* jsonItems(
    flagged.map((stretch) => [
      markerName,
      stretch.start * blockTime,
      stretch.end * blockTime,
      1,
      userCategory,
      { type: 'Flagged', reason: visible(stretch.name) },
    ]),
  );
  yield ']},\n"samples":{"schema":{"stack":0,"time":1,"responsiveness":2},"data":[\n';
  yield* jsonItems(samples.map(([stack, at]) => [stack, at * blockTime, 0]));
  yield ']},\n"frameTable":{"schema":{"location":0,"relevantForJS":1,"innerWindowID":2,';
  yield '"implementation":3,"optimizations":4,"line":5,"column":6,"category":7,"subcategory":8},"data":[\n';
  yield* jsonItems(
    frames.map((_, index) => [index, false, 0, null, null, null, null, userCategory, 0]),
  );
  yield ']},\n"stackTable":{"schema":{"prefix":0,"frame":1},"data":[\n';
  yield* jsonItems(stacks);
  yield '] },\n"stringTable":[\n';
  yield* jsonItems(strings);
  yield ']}]}\n';
}

interface Sampled {
  /** Stack, or `null` where nothing was open, and block index. */
  readonly samples: (readonly [stack: number | null, at: number])[];
  /** The stack below, and the frame on it. */
  readonly stacks: (readonly [prefix: number | null, frame: number])[];
}

function sampleStacks(timeline: CallTimeline, every: number): Sampled {
  const stacks: Sampled['stacks'] = [];
  const samples: Sampled['samples'] = [];
  const known = new Map<string, number>();
  let next = timeline.start;
  forEachStack(timeline, (stack, _since, until) => {
    if (next >= until) return;
    let top: number | null = null;
    for (const frame of stack) {
      const key = `${top ?? ''},${frame}`;
      let index = known.get(key);
      if (index === undefined) {
        index = stacks.length;
        known.set(key, index);
        stacks.push([top, frame]);
      }
      top = index;
    }
    for (; next < until; next += every) samples.push([top, next]);
  });
  return { samples, stacks };
}
