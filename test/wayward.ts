import { describeFailure } from '../src/cli/frame/failure.ts';
import { takeOutput } from '../src/cli/frame/output.ts';
import { runCommand } from '../src/cli/run-command.ts';

export interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a command line in this process: what it takes to start a program a hundred times over is most of what tests of
 * the command line would cost. One at a time, because environment and folder belong to the process.
 */
export async function wayward(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd: string = process.cwd(),
): Promise<Ended> {
  const { stdout: out, stderr: log } = process;
  const outside = { env: { ...process.env }, cwd: process.cwd(), out: out.write, log: log.write };
  let stdout = '';
  let stderr = '';
  const giveBack = takeOutput((text) => {
    stdout += text;
  });
  out.write = (chunk: unknown) => {
    stdout += String(chunk);
    return true;
  };
  log.write = (chunk: unknown) => {
    stderr += String(chunk);
    return true;
  };
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.exitCode = 0;
  try {
    await runCommand(words);
  } catch (error) {
    const { text, code } = describeFailure(error);
    stderr += text;
    process.exitCode = code;
  }
  const status = Number(process.exitCode);
  process.exitCode = undefined;
  process.chdir(outside.cwd);
  for (const name of Object.keys(env)) {
    if (outside.env[name] === undefined) delete process.env[name];
    else process.env[name] = outside.env[name];
  }
  out.write = outside.out;
  log.write = outside.log;
  giveBack();
  return { status, stdout, stderr };
}
