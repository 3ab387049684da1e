import type { Command } from 'commander';
import { classifyCommand } from './classify.ts';
import { clusterCommand } from './cluster.ts';
import { demoCommand } from './demo.ts';
import { doctor } from './doctor.ts';
import { importCommand } from './import.ts';
import { inspectCommand } from './inspect.ts';
import { learnCommand } from './learn.ts';
import { noveltyCommand } from './novelty.ts';
import { preprocessCommand } from './preprocess.ts';
import { recordCommand } from './record.ts';
import { reportCommand } from './report.ts';
import { setsCommand } from './sets.ts';
import { statsCommand } from './stats.ts';
import { workerCommand } from './worker.ts';

/** Every command, in the order of the help text. */
export function commands(): readonly Command[] {
  return [
    recordCommand,
    importCommand,
    inspectCommand,
    preprocessCommand,
    statsCommand,
    noveltyCommand,
    setsCommand,
    learnCommand,
    classifyCommand,
    clusterCommand,
    reportCommand,
    demoCommand,
    workerCommand,
    doctor,
  ];
}
