/**
 * Counts which functions a recorded run called from outside of their own file.
 *
 *     node count-calls.ts RECORDINGS/traces/RUN
 */
import { decode } from 'wayward';

const sample = process.argv[2];
if (sample === undefined) throw new Error('usage: node count-calls.ts SAMPLE');
const calls = new Map<string, number>();
let caller: string | undefined;
for await (const line of decode(sample)) {
  if ('mark' in line) {
    // What ran between is not known.
    caller = undefined;
    continue;
  }
  const [file] = line.place.split('!');
  if (caller !== undefined && caller !== file && !line.place.includes('+')) {
    calls.set(line.place, (calls.get(line.place) ?? 0) + 1);
  }
  caller = line.transfer === 'call' || line.transfer === 'icall' ? file : undefined;
}
for (const [name, count] of [...calls].sort(([, a], [, b]) => b - a)) console.log(count, name);
