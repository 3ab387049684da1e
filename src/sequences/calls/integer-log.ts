import { CallRecorder, ProcessCalls } from './recorder.ts';

/** No call number is longer; what is, is text. */
const longestNumber = 15;

/**
 * Reads whitespace-separated call numbers, as in ADFA-LD and LID-DS: one trace a file. Words that
 * are no whole number are left out, and a window never runs across one.
 *
 * @returns one process with one thread
 */
export async function readIntegers(input: AsyncIterable<Uint8Array>): Promise<CallRecorder> {
  const recorder = new CallRecorder();
  const process = new ProcessCalls();
  recorder.processes.push(process);
  let digits = 0;
  let value = 0;
  let isNegative = false;
  let isNumber = true;
  let wordLength = 0;
  let offset = 0;
  const endWord = (end: number): void => {
    if (wordLength === 0) return;
    const start = end - wordLength;
    const place = (): string => `at byte ${start}`;
    if (isNumber && digits > 0) {
      recorder.add(process, '', isNegative ? -value : value, 1, place);
    } else {
      recorder.lose(process, 'words that are no number', place);
    }
    digits = 0;
    value = 0;
    isNegative = false;
    isNumber = true;
    wordLength = 0;
  };
  for await (const chunk of input) {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) {
        endWord(offset + i);
        continue;
      }
      if (byte >= 0x30 && byte <= 0x39) {
        value = value * 10 + byte - 0x30;
        if (++digits > longestNumber) isNumber = false;
      } else if (byte === 0x2d && wordLength === 0) {
        isNegative = true;
      } else {
        isNumber = false;
      }
      wordLength++;
    }
    offset += chunk.length;
  }
  endWord(offset);
  return recorder;
}
