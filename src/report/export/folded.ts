import { visible } from '../words/escape.ts';
import { type CallTimeline, forEachStack } from './call-timeline.ts';

/**
 * A call timeline as folded stacks: one line for each stack that was open, the oldest function first,
 * with the number of blocks that ran while it was; most first. A semicolon in a name is shown as a
 * colon, because it stands between functions.
 *
 * @see Brendan Gregg, FlameGraph, README ("Fold stacks") and flamegraph.pl
 */
export function* renderFolded(timeline: CallTimeline): Generator<string> {
  const names = timeline.frames.map(({ name }) => visible(name).replaceAll(';', ':'));
  const counts = new Map<string, number>();
  forEachStack(timeline, (stack, since, until) => {
    const line = stack.length === 0 ? '(unknown)' : stack.map((frame) => names[frame]).join(';');
    counts.set(line, (counts.get(line) ?? 0) + until - since);
  });
  for (const [line, count] of [...counts].sort((a, b) => b[1] - a[1])) yield `${line} ${count}\n`;
}
