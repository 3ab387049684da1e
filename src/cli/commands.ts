import type { Command } from 'commander';
import { acceptCommand } from './verbs/accept.ts';
import { classifyCommand } from './verbs/classify.ts';
import { clusterCommand } from './verbs/cluster.ts';
import { demoCommand } from './verbs/demo.ts';
import { doctor } from './verbs/doctor.ts';
import { exportCommand } from './verbs/export.ts';
import { guardCommand } from './verbs/guard.ts';
import { importCommand } from './verbs/import.ts';
import { inspectCommand } from './verbs/inspect.ts';
import { judgeCommand } from './verbs/judge.ts';
import { learnCommand } from './verbs/learn.ts';
import { noveltyCommand } from './verbs/novelty.ts';
import { preprocessCommand } from './verbs/preprocess.ts';
import { recordCommand } from './verbs/record.ts';
import { reportCommand } from './verbs/report.ts';
import { setsCommand } from './verbs/sets.ts';
import { statsCommand } from './verbs/stats.ts';
import { workerCommand } from './verbs/worker.ts';

/** Every command, in the order of the help text. */
export function commands(): readonly Command[] {
  return [
    recordCommand,
    importCommand,
    inspectCommand,
    exportCommand,
    preprocessCommand,
    statsCommand,
    noveltyCommand,
    setsCommand,
    learnCommand,
    judgeCommand,
    acceptCommand,
    guardCommand,
    classifyCommand,
    clusterCommand,
    reportCommand,
    demoCommand,
    workerCommand,
    doctor,
  ];
}
