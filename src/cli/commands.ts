import type { CommandEntry } from './frame/command.ts';

const capture = 'Capture';
const learn = 'Learn';
const judge = 'Judge';
const look = 'Look';
const system = 'System';

/** Every command, in the order of the help text. What a command is made of is loaded when it runs. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'record',
    group: capture,
    summary: 'Run a program under QEMU and record its control flow as a sample',
    load: async () => (await import('./verbs/record.ts')).recordCommand,
  },
  {
    name: 'import',
    group: capture,
    summary: 'Make samples of Intel PT recordings of Linux perf',
    load: async () => (await import('./verbs/import.ts')).importCommand,
  },
  {
    name: 'learn',
    aliases: ['lstm', 'prob', 'syscall'],
    group: learn,
    summary: 'Learn normal control flow from benign samples, predict the rest',
    load: async () => (await import('./verbs/learn.ts')).learnCommand,
  },
  {
    name: 'novelty',
    aliases: ['bloom'],
    group: learn,
    summary: 'Show how many new sequences each trace of a sets file adds',
    load: async () => (await import('./verbs/novelty.ts')).noveltyCommand,
  },
  {
    name: 'sets',
    group: learn,
    summary: 'Make, show and check sets files: which sample trains, which is judged',
    load: async () => (await import('./verbs/sets.ts')).setsCommand,
  },
  {
    name: 'judge',
    group: judge,
    summary: 'Judge recordings with what was learned before',
    load: async () => (await import('./verbs/judge.ts')).judgeCommand,
  },
  {
    name: 'guard',
    group: judge,
    summary: 'Run a program and judge it while it runs',
    load: async () => (await import('./verbs/guard.ts')).guardCommand,
  },
  {
    name: 'accept',
    group: judge,
    summary: 'Take harmless runs into a profile',
    load: async () => (await import('./verbs/accept.ts')).acceptCommand,
  },
  {
    name: 'classify',
    aliases: ['classifier'],
    group: judge,
    summary: 'Give a verdict for each evaluated trace, with error rates',
    load: async () => (await import('./verbs/classify.ts')).classifyCommand,
  },
  {
    name: 'cluster',
    aliases: ['knn'],
    group: judge,
    summary: 'Find which anomalies are alike, and which known one a new trace resembles',
    load: async () => (await import('./verbs/cluster.ts')).clusterCommand,
  },
  {
    name: 'report',
    group: judge,
    summary: 'Write one HTML page: verdicts, error rates, and where traces strayed',
    load: async () => (await import('./verbs/report.ts')).reportCommand,
  },
  {
    name: 'inspect',
    group: look,
    summary: 'Show what is in a trace: counts, gaps, modules, blocks, packets',
    load: async () => (await import('./verbs/inspect.ts')).inspectCommand,
  },
  {
    name: 'export',
    group: look,
    summary: 'Write a run, or a place in it, for other tools',
    load: async () => (await import('./verbs/export.ts')).exportCommand,
  },
  {
    name: 'preprocess',
    group: look,
    summary: 'Decode raw traces once and store the result beside them',
    load: async () => (await import('./verbs/preprocess.ts')).preprocessCommand,
  },
  {
    name: 'stats',
    group: look,
    summary: 'Show how many unique targets the sources of a corpus have, by sequence length',
    load: async () => (await import('./verbs/stats.ts')).statsCommand,
  },
  {
    name: 'demo',
    group: system,
    summary: 'The main job on real recordings, from learning to the report',
    load: async () => (await import('./verbs/demo.ts')).demoCommand,
  },
  {
    name: 'worker',
    group: system,
    summary: 'Take jobs from a queue and do them, on any machine that sees the same files',
    load: async () => (await import('./verbs/worker.ts')).workerCommand,
  },
  {
    name: 'doctor',
    group: system,
    summary: 'Say what this machine can do',
    load: async () => (await import('./verbs/doctor.ts')).doctorCommand,
  },
  {
    name: 'completion',
    group: system,
    summary: 'Print a script that completes command lines in bash, zsh or fish',
    load: async () => (await import('./verbs/completion.ts')).completionCommand,
  },
  {
    name: 'help',
    group: system,
    summary: 'Explain a command, exit codes, or settings',
    load: async () => (await import('./verbs/help.ts')).helpCommand,
  },
];
