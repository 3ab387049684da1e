import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

/** Beside the stamps of what was set up; Node keeps one file in it for each source. */
const folder = fileURLToPath(new URL('../node_modules/.wayward/compiled', import.meta.url));

/**
 * Lets all processes of the tests, those that tests start as well, find the sources compiled: most of what a command
 * takes from source is to strip and compile it. Not where lines are counted, which is exact only for fresh code.
 */
export default function setup({ config }: TestProject): void {
  if (config.coverage.enabled) return;
  process.env.NODE_COMPILE_CACHE ??= folder;
}
