import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { describeFailure } from '../../src/cli/frame/failure.ts';
import { runCommand } from '../../src/cli/run-command.ts';

// Runs one command line after the other in one process, so that thousands of them need not each load
// the code first: a line of JSON on standard input, `{cwd, words}`, gives one on descriptor 3,
// `{code, err}`. Standard output is a file of whoever started us.

export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

let err = '';
process.stderr.write = ((chunk: unknown): boolean => {
  err += String(chunk);
  return true;
}) as typeof process.stderr.write;

// In a process of its own this would end the command with a stack trace.
const lost: unknown[] = [];
process.on('unhandledRejection', (error) => lost.push(error));
process.on('uncaughtException', (error) => lost.push(error));

const answers = new Socket({ fd: 3, readable: false, writable: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { cwd, words } = JSON.parse(line) as { cwd: string; words: string[] };
  err = '';
  lost.length = 0;
  process.exitCode = 0;
  process.chdir(cwd);
  try {
    await runCommand(words);
  } catch (error) {
    const { text, code } = describeFailure(error);
    err += text;
    process.exitCode = code;
  }
  // What was not awaited may still fail.
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const error of lost) err += `unhandled: ${describeFailure(error).text}`;
  const answer = { code: Number(process.exitCode), err };
  answers.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
