import { visible } from '../words/escape.ts';
import { type CallTimeline, closing } from './call-timeline.ts';
import { jsonItems } from './json-list.ts';

/** One process stands for the run; its first thread shows what is flagged. */
const process = 1;
const flaggedThread = 1;
const callThread = 2;

/**
 * A call timeline as Trace Event Format, the JSON that Perfetto and chrome://tracing read: a pair of
 * events (`B`, `E`) for each call, and on a track of their own complete events (`X`) for the flagged
 * stretches. A block takes a microsecond.
 *
 * @see Google, "Trace Event Format" (Duration Events, Complete Events, Metadata Events)
 */
export function* renderPerfetto(timeline: CallTimeline, generator: string): Generator<string> {
  yield '{"traceEvents":[\n';
  yield* jsonItems(eventsOf(timeline));
  yield `\n],"displayTimeUnit":"ns","otherData":${JSON.stringify({
    generator,
    time: 'one block = 1 us',
    run: visible(timeline.name),
  })}}\n`;
}

function* eventsOf({ name, frames, events, at, flagged }: CallTimeline): Generator<object> {
  yield metadata('process_name', 0, visible(name));
  yield metadata('thread_name', flaggedThread, 'flagged');
  yield metadata('thread_name', callThread, 'calls');
  for (const stretch of flagged) {
    yield {
      ph: 'X',
      name: visible(stretch.name),
      cat: 'flagged',
      pid: process,
      tid: flaggedThread,
      ts: stretch.start,
      dur: stretch.end - stretch.start,
    };
  }
  const open: number[] = [];
  for (let i = 0; i < events.length; i++) {
    const isClosing = events[i] === closing;
    const frame = isClosing ? open.pop() : events[i];
    if (frame === undefined) continue;
    if (!isClosing) open.push(frame);
    // The format lets an end leave out its name; speedscope then finds no beginning for it.
    const { name: called, module } = frames[frame];
    const cat = visible(module) || '(no file)';
    const ph = isClosing ? 'E' : 'B';
    yield { ph, name: visible(called), cat, pid: process, tid: callThread, ts: at[i] };
  }
}

function metadata(name: string, tid: number, value: string): object {
  return { ph: 'M', name, pid: process, tid, ts: 0, args: { name: value } };
}
