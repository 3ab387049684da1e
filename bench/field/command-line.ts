import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** The command line of this checkout, as a user has it: `npm run build` made it. */
const main = join(import.meta.dirname, '../../dist/cli/main.js');

export interface Ran {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
  readonly seconds: number;
}

/** Runs a program to its end. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly timeoutSeconds?: number } = {},
): Promise<Ran> {
  const started = performance.now();
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.timeoutSeconds === undefined ? {} : { timeout: options.timeoutSeconds * 1000 }),
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.on('error', fail);
    child.on('close', (code, signal) =>
      done({
        code: code ?? (signal === null ? 1 : 128),
        output: Buffer.concat(output).toString(),
        errors: Buffer.concat(errors).toString(),
        seconds: (performance.now() - started) / 1000,
      }),
    );
  });
}

/** Runs one of Wayward's commands with `--json`. @throws Error with its messages when it fails */
export async function wayward<T>(
  args: readonly string[],
  options: { readonly cwd?: string; readonly timeoutSeconds?: number } = {},
): Promise<T & { readonly seconds: number }> {
  const [name, ...rest] = args;
  const ran = await run(process.execPath, [main, name, '--json', '-l', '30', ...rest], options);
  if (ran.code !== 0) {
    const why = ran.errors.trim().split('\n').slice(-3).join('; ') || ran.output.slice(0, 300);
    throw new Error(`wayward ${name} ended with ${ran.code}: ${why}`);
  }
  return { ...(JSON.parse(ran.output) as T), seconds: ran.seconds };
}
