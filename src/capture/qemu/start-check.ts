import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../../base/errors.ts';
import { nearest } from '../../base/options/option.ts';
import { parseImage } from '../../image/files/parse-image.ts';
import { guestEnvironment } from './environment.ts';

const run = promisify(execFile);

/** A program as it would be started. */
export interface StartedProgram {
  readonly command: string;
  readonly bytes: Uint8Array;
  /** Its dynamic loader; `undefined` for a static program. */
  readonly loader: string | undefined;
  readonly qemu: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly cwd: string | undefined;
}

/** Waits so long for the loader's list of libraries, ms. */
const longestListing = 20_000;

/**
 * Looks for the symbol or file at which a recording is to begin in the program, its loader and the
 * libraries that it is linked with. The program does not run for that.
 *
 * A name with `.so` in it that is none of them is let through: it may be loaded later.
 *
 * @throws UserError `no-such-start`
 */
export async function checkStart(start: string, program: StartedProgram): Promise<void> {
  const { command, bytes, loader } = program;
  const libraries = loader === undefined ? [] : await librariesOf(program, loader);
  // Nothing can be said where the loader did not say what it would load.
  if (libraries === undefined || /\.so\b/.test(start)) return;
  const names = new Set([command, ...libraries].map((path) => basename(path)));
  if (names.has(start)) return;
  const own = functionsIn(bytes);
  if (own.includes(start)) return;
  for (const path of libraries) {
    const library = await readFile(path).catch(() => undefined);
    if (library !== undefined && functionsIn(library).includes(start)) return;
  }
  // Of short names many are near.
  const near = start.length > 4 ? nearest(start, [...names, ...own]) : undefined;
  const advice =
    near === undefined
      ? `a stripped program has few names left, but "${basename(command)}" stands for the first of its own code`
      : `did you mean ${near}?`;
  throw new UserError(
    'no-such-start',
    `neither it nor a library that it is linked with has a function or is a file "${start}"; ${advice}`,
    { category: 'arguments', path: command },
  );
}

/** Asks the loader, which only lists what it would load. @returns `undefined` where it fails */
async function librariesOf(
  { command, qemu, variables, cwd }: StartedProgram,
  loader: string,
): Promise<readonly string[] | undefined> {
  const { env, flags } = guestEnvironment(variables);
  try {
    const { stdout } = await run(qemu, [...flags, loader, '--list', command], {
      env,
      cwd,
      timeout: longestListing,
      maxBuffer: 1 << 20,
    });
    // `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)`, or a path alone.
    const paths = stdout.matchAll(/^\s*(?:.* => )?(\/.*) \(0x[0-9a-f]+\)$/gm);
    return [loader, ...[...paths].map(([, path = '']) => path)];
  } catch {
    return undefined;
  }
}

function functionsIn(bytes: Uint8Array): readonly string[] {
  return parseImage(bytes, false)
    .symbols()
    .map(({ name }) => name);
}
