import { visible } from '../words/escape.ts';
import { type CallTimeline, closing, cutTimeline } from './call-timeline.ts';
import { jsonItems } from './json-list.ts';

/**
 * A call timeline as an evented profile of speedscope, in blocks; each flagged stretch is a profile of
 * its own behind it, and the first of them is the one to be shown.
 *
 * @param exporter  program and version, `wayward@0.1.0`
 * @see https://github.com/jlfwong/speedscope/blob/3613918de0dd55a263d0d04f85b0c8c2039c7bee/src/lib/file-format-spec.ts
 */
export function* renderSpeedscope(timeline: CallTimeline, exporter: string): Generator<string> {
  const cuts = timeline.flagged.map((stretch) => cutTimeline(timeline, stretch));
  const profiles = [timeline, ...cuts.filter(({ start, end }) => end > start)];
  yield `{"$schema":"https://www.speedscope.app/file-format-schema.json",`;
  yield `"exporter":${JSON.stringify(exporter)},"name":${JSON.stringify(visible(timeline.name))},`;
  yield `"activeProfileIndex":${profiles.length > 1 ? 1 : 0},"shared":{"frames":[\n`;
  yield* jsonItems(
    timeline.frames.map(({ name, module }) => ({
      name: visible(name),
      ...(module === '' ? {} : { file: visible(module) }),
    })),
  );
  yield ']},"profiles":[\n';
  for (const [index, { name, start, end, ...rest }] of profiles.entries()) {
    const facts = JSON.stringify({
      type: 'evented',
      name: visible(name),
      unit: 'none',
      startValue: start,
      endValue: end,
    });
    yield `${index === 0 ? '' : ',\n'}${facts.slice(0, -1)},"events":[\n`;
    yield* jsonItems(eventsOf(rest));
    yield ']}';
  }
  yield ']}\n';
}

/** Closings name the frame that they close. */
function* eventsOf({ events, at }: Pick<CallTimeline, 'events' | 'at'>): Generator<object> {
  const open: number[] = [];
  for (let i = 0; i < events.length; i++) {
    if (events[i] === closing) yield { type: 'C', frame: open.pop(), at: at[i] };
    else {
      open.push(events[i]);
      yield { type: 'O', frame: events[i], at: at[i] };
    }
  }
}
