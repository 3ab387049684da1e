import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How folders begin that Wayward itself makes while it works, and has to remove. */
const own = /^wayward-(judge|profile|record|perf)-/;

/**
 * Gives all tests of a run one folder for what is temporary, and removes it behind them, also what failed tests
 * and killed programs left there.
 *
 * @throws Error, after the tests, when Wayward has left something
 */
export default function setup(): () => void {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(tmpdir(), 'wayward-tests-'));
  process.env.TMPDIR = folder;
  return () => {
    const left = readdirSync(folder).filter((name) => own.test(name));
    rmSync(folder, { recursive: true, force: true });
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    if (left.length > 0) throw new Error(`left in the temporary folder: ${left.join(', ')}`);
  };
}
