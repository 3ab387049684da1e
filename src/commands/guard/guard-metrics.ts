import { version } from '../../base/version.ts';

/** Counters of a guard, for monitoring. */
export interface GuardCounters {
  readonly processes: number;
  readonly blocks: number;
  readonly waitingBlocks: number;
  readonly skippedBlocks: number;
  readonly alarms: number;
  readonly lost: number;
}

/** Of a program that has not started. */
export const nothingCounted: GuardCounters = {
  ...{ processes: 0, blocks: 0, waitingBlocks: 0, skippedBlocks: 0, alarms: 0, lost: 0 },
};

/** Counters of a guard in Prometheus' text format. */
export function guardMetrics(counters: GuardCounters): string {
  const lines: string[] = [];
  const put = (name: string, kind: string, help: string, value: number, labels = ''): void => {
    const full = `wayward_guard_${name}`;
    lines.push(`# HELP ${full} ${help}`, `# TYPE ${full} ${kind}`, `${full}${labels} ${value}`);
  };
  put(
    'info',
    'gauge',
    'What this guard is.',
    1,
    `{version="${version}",node="${process.version}"}`,
  );
  put('processes_total', 'counter', 'Processes that were followed.', counters.processes);
  put('blocks_total', 'counter', 'Basic blocks that they ran.', counters.blocks);
  put('waiting_blocks', 'gauge', 'Blocks that wait to be judged.', counters.waitingBlocks);
  put('skipped_blocks_total', 'counter', 'Blocks that were left out.', counters.skippedBlocks);
  put('alarms_total', 'counter', 'Alarms.', counters.alarms);
  put('lost_total', 'counter', 'What was not followed, each once.', counters.lost);
  return `${lines.join('\n')}\n`;
}
