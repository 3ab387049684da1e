import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How folders begin that Wayward itself makes while it works, and has to remove. */
const own = /^wayward-(judge|profile|record|perf)-/;

/**
 * Gives all tests of a run one folder for what is temporary, and for what is kept for later runs, which nothing that was
 * kept before may decide; and removes it behind them, also what failed tests and killed programs left there.
 *
 * @throws Error, after the tests, when Wayward has left something
 */
export default function setup(): () => void {
  const { TMPDIR, XDG_CACHE_HOME } = process.env;
  const folder = mkdtempSync(join(tmpdir(), 'wayward-tests-'));
  Object.assign(process.env, { TMPDIR: folder, XDG_CACHE_HOME: join(folder, 'cache') });
  return () => {
    const left = readdirSync(folder).filter((name) => own.test(name));
    rmSync(folder, { recursive: true, force: true });
    for (const [name, before] of Object.entries({ TMPDIR, XDG_CACHE_HOME })) {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    }
    if (left.length > 0) throw new Error(`left in the temporary folder: ${left.join(', ')}`);
  };
}
