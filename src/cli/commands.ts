import type { Command } from 'commander';
import { doctor } from './doctor.ts';

/** Every command, in the order of the help text. */
export function commands(): readonly Command[] {
  return [doctor];
}
