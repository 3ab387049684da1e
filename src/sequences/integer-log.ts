import { type CallLog, CallNames, LeftOut, ThreadCalls } from './call-log.ts';

/** No call number is longer; what is, is text. */
const longestNumber = 15;

/**
 * Reads whitespace-separated call numbers, as in ADFA-LD and LID-DS: one trace a file. Words that
 * are no whole number are left out, and a window never runs across one.
 */
export async function readIntegerLog(input: AsyncIterable<Uint8Array>): Promise<CallLog> {
  const names = new CallNames();
  const thread = new ThreadCalls();
  const leftOut = new LeftOut();
  let digits = 0;
  let value = 0;
  let isNegative = false;
  let isNumber = true;
  let wordLength = 0;
  let offset = 0;
  const endWord = (end: number): void => {
    if (wordLength === 0) return;
    if (isNumber && digits > 0) {
      thread.add(names.idOf(isNegative ? -value : value));
    } else {
      leftOut.add('words that are no number', `at byte ${end - wordLength}`);
      thread.addLoss();
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
      } else if (byte >= 0x30 && byte <= 0x39) {
        wordLength++;
        value = value * 10 + byte - 0x30;
        if (++digits > longestNumber) isNumber = false;
      } else if (byte === 0x2d && wordLength === 0) {
        wordLength++;
        isNegative = true;
      } else {
        wordLength++;
        isNumber = false;
      }
    }
    offset += chunk.length;
  }
  endWord(offset);
  return {
    format: 'integers',
    names: names.names,
    threads: thread.length === 0 ? [] : [thread.calls],
    notes: leftOut.notes,
  };
}
