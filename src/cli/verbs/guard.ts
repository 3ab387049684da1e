import { createReadStream } from 'node:fs';
import { constants } from 'node:os';
import { UserError } from '../../base/errors.ts';
import { notReadable } from '../../base/files/failure.ts';
import { choice, decimal, integer, text } from '../../base/options/option.ts';
import { standardEnvironment } from '../../capture/record.ts';
import type { GuardEvent, OnAlarm } from '../../commands/guard/events.ts';
import { guardMetrics, nothingCounted } from '../../commands/guard/guard-metrics.ts';
import { alarmLine } from '../../commands/guard/live/alarm.ts';
import {
  type Guarding,
  type GuardResult,
  guard,
  guardFollow,
  guardPerfPipe,
} from '../../commands/guard.ts';
import { outputFile } from '../../commands/samples/output-file.ts';
import { serveMetrics } from '../../workers/metrics-server.ts';
import {
  type Command,
  type CommandSpec,
  defineCommand,
  type Invocation,
} from '../frame/command.ts';
import { exitCodes } from '../frame/failure.ts';
import { printableLine } from '../frame/paint.ts';
import { anomaliesFound } from '../options/exit-code.ts';
import { findProgram } from '../options/find-program.ts';
import { debugDirsOption, namesOf } from '../options/name-flags.ts';
import { factsFolder } from '../options/profile-flags.ts';
import { eventFile } from './event-file.ts';
import { passedOverText } from './passed-over.ts';

interface Options {
  readonly json: boolean;
  readonly profile: readonly string[] | undefined;
  readonly fpr: number;
  readonly onAlarm: OnAlarm;
  readonly evidence: string;
  readonly keep: boolean;
  readonly failOpen: boolean;
  readonly slow: boolean;
  readonly events: string | undefined;
  readonly follow: string | undefined;
  readonly perf: string | undefined;
  readonly idle: number | undefined;
  readonly binDir: readonly string[] | undefined;
  readonly debugDir: readonly string[] | undefined;
  readonly knownPlaces: string | undefined;
  readonly metrics: number | undefined;
  readonly inheritEnv: boolean;
  readonly exitCode: boolean;
}

const spec: CommandSpec<Options> = {
  args: [
    [
      '<profile>',
      'file that learn wrote, the folder of its run, or a folder of profiles, of which each program takes its own',
    ],
    ['[program...]', 'program and its arguments, after "--"'],
  ],
  usual: [
    ...['on-alarm', 'fpr', 'evidence', 'keep', 'fail-open', 'no-slow', 'events', 'exit-code'],
    ...['profile', 'inherit-env', 'follow', 'perf'],
  ],
  options: [
    {
      flags: '--profile <file>',
      help: 'profile of another program that this one starts, or a folder of them; may be given again',
      parse: text,
      repeats: true,
    },
    {
      flags: '--follow <sample>',
      help: 'instead of a program: the folder of a sample that somebody else writes, as a hypervisor does',
      parse: text,
    },
    {
      flags: '--idle <seconds>',
      help: 'with --follow: it has ended when it did not grow for so long [when interrupted]',
      parse: decimal(0, 1e6, 'open'),
    },
    {
      flags: '--perf <file>',
      help: 'instead of a program: what perf record -e intel_pt//u -o - writes; - = standard input',
      parse: text,
    },
    {
      flags: '--bin-dir <dir>',
      help: 'with --follow and --perf: folder of executables and libraries; may be given again',
      parse: text,
      repeats: true,
    },
    debugDirsOption,
    {
      flags: '--known-places <file>',
      help: 'transfers that alarm nobody, as accept --known-places lists them',
      parse: text,
    },
    {
      flags: '--fpr <rate>',
      help: 'share of harmless runs that may raise an alarm',
      parse: decimal(0, 1, 'open'),
      default: 0.05,
    },
    {
      flags: '--on-alarm <action>',
      help: 'log: let it run on; stop: halt it for a debugger; kill',
      parse: choice('log', 'stop', 'kill'),
      default: 'log',
    },
    {
      flags: '--evidence <dir>',
      help: 'folder for alarms, and for samples of alarmed processes',
      parse: text,
      default: 'guard',
    },
    { flags: '--keep', help: 'keep the samples of all processes there' },
    {
      flags: '--fail-open',
      help: 'let the program run on unguarded when the guard dies; otherwise it ends with it',
    },
    {
      flags: '--no-slow',
      help: 'leave stretches out where the program runs faster than it is judged, instead of slowing it',
    },
    {
      flags: '--events <file>',
      help: 'append what happens there, one JSON document a line',
      parse: outputFile,
    },
    {
      flags: '--inherit-env',
      help: 'give it the whole environment of this command, not PATH and LC_ALL=C only',
    },
    {
      flags: '--metrics <port>',
      help: 'serve /metrics (Prometheus) and /healthz there, on the loopback interface',
      parse: integer(0, 65535),
    },
    {
      flags: '--exit-code',
      help: `end with ${anomaliesFound} after an alarm, whatever the program ends with`,
    },
  ],
  examples: [
    ['wayward guard reader.wayward -- pdftotext in.pdf out.txt', 'tells when a run strays'],
    [
      'wayward guard server.wayward --on-alarm kill --events /var/log/guard.ndjson -- ./server',
      'ends it at once, for a service',
    ],
    [
      'wayward guard reader.wayward --on-alarm stop -- ./reader in.pdf',
      'halts it, with a core file for gdb',
    ],
  ],
  run: async (invocation) => {
    const { args, options: o } = invocation;
    const ways = [o.follow, o.perf, args[1]].filter((way) => way !== undefined);
    if (ways.length !== 1) {
      throw new UserError(
        'guard-what',
        'takes a program after "--", or --follow SAMPLE, or --perf FILE: one of them',
        { category: 'arguments' },
      );
    }
    const tell = teller(o, invocation.print, (message) =>
      invocation.terminal.log('warning', message),
    );
    const { fpr, evidence, knownPlaces, binDir: binDirs = [] } = o;
    const names = namesOf(o.debugDir);
    const followed = { profile: args[0] ?? '', fpr, evidence, knownPlaces, names, binDirs };
    if (o.follow !== undefined) {
      const request = { ...followed, folder: o.follow, idle: o.idle };
      const verdict = await guardFollow(request, tell, invocation.signal);
      return verdict === undefined ? exitCodes.input : alarmCode(o, verdict.wasAlarmed);
    }
    if (o.perf !== undefined) {
      const input: AsyncIterable<Buffer> = o.perf === '-' ? process.stdin : piecesOf(o.perf);
      const verdicts = await guardPerfPipe({ ...followed, input, path: o.perf }, tell);
      const wasAlarmed = verdicts.some((verdict) => verdict.wasAlarmed);
      return verdicts.length === 0 ? exitCodes.input : alarmCode(o, wasAlarmed);
    }
    return guardProgram(invocation, tell);
  },
};

async function* piecesOf(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 });
  } catch (cause) {
    throw notReadable(path, cause);
  }
}

async function guardProgram(
  { args: [profile = '', program = '', ...args], options: o, terminal }: Invocation<Options>,
  tell: (event: GuardEvent) => void,
): Promise<number> {
  let guarding: Guarding | undefined;
  // Before the program starts: where the port is taken, nothing has happened.
  const server =
    o.metrics === undefined
      ? undefined
      : await serveMetrics(
          {
            state: 'ok',
            toPrometheus: () => guardMetrics(guarding?.counters() ?? nothingCounted),
          },
          ...(['127.0.0.1', o.metrics] as const),
        );
  if (server !== undefined) {
    terminal.log('info', `metrics at http://127.0.0.1:${server.port}/metrics`);
  }
  guarding = await guard(
    {
      ...{ profiles: [profile, ...(o.profile ?? [])], command: findProgram(program), args },
      ...{ fpr: o.fpr, onAlarm: o.onAlarm, evidence: o.evidence, keep: o.keep },
      ...{ failOpen: o.failOpen, maySlow: o.slow, knownPlaces: o.knownPlaces },
      names: namesOf(o.debugDir),
      factsFolder,
      env: o.inheritEnv ? process.env : standardEnvironment,
      searchPath: process.env.PATH ?? '',
    },
    tell,
    { log: terminal, progress: () => {} },
  );
  const result = await passingSignals(guarding);
  return o.exitCode && result.alarms > 0 ? anomaliesFound : exitCodeOf(result);
}

function alarmCode({ exitCode }: Options, wasAlarmed: boolean): number {
  return exitCode && wasAlarmed ? anomaliesFound : 0;
}

/** Tells on standard output where it is free, else on standard error. */
function teller(
  o: Options,
  print: (line: string) => void,
  warn: (message: string) => void,
): (event: GuardEvent) => void {
  const isFree = o.follow !== undefined || o.perf !== undefined;
  const note = o.events === undefined ? () => {} : eventFile(o.events, warn);
  return (event) => {
    const json = JSON.stringify({ schemaVersion: 1, time: new Date().toISOString(), ...event });
    note(json);
    for (const line of o.json ? [json] : linesOf(event, o)) {
      if (isFree) print(line);
      else process.stderr.write(`${printableLine(line)}\n`);
    }
  };
}

export const guardCommand: Command = defineCommand(spec);

/** Signals that are meant for the program. */
const passed: readonly NodeJS.Signals[] = [
  ...(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const),
  ...(['SIGWINCH', 'SIGTSTP', 'SIGCONT'] as const),
];
/** A terminal sends these to all processes in front of it, and so to the program by itself. */
const fromTerminal: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGTSTP'];

async function passingSignals(guarding: Guarding): Promise<GuardResult> {
  const handlers = passed.map((name) => {
    const handler = (): void => {
      if (!(process.stdin.isTTY && fromTerminal.includes(name))) guarding.signal(name);
      // Who is asked to stop is waited for by a shell, whatever the program makes of it.
      if (name === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
    };
    // The program decides what a signal does; the guard ends when it does.
    process.removeAllListeners(name);
    process.on(name, handler);
    return { name, handler };
  });
  try {
    return await guarding.result;
  } finally {
    for (const { name, handler } of handlers) process.off(name, handler);
  }
}

/** As a shell tells how a program ended. */
function exitCodeOf({ exitCode, killedBy }: GuardResult): number {
  return killedBy === undefined
    ? (exitCode ?? exitCodes.runtime)
    : 128 + constants.signals[killedBy];
}

function linesOf(event: GuardEvent, { fpr }: Options): string[] {
  switch (event.event) {
    case 'started':
      return [];
    case 'process':
      return event.origin === 'start'
        ? []
        : [
            `guard: process ${event.pid} (${event.origin}): ${event.program}${event.why === undefined ? '' : `, not judged: ${event.why}`}`,
          ];
    case 'alarm':
      return [
        `guard: ${alarmLine(event.program, event, fpr)}`,
        `guard: evidence in ${event.evidence}`,
      ];
    case 'action':
      return event.action === 'kill'
        ? [`guard: process ${event.pid} was killed`]
        : [
            `guard: process ${event.pid} is stopped${event.registers[0] === undefined ? '' : ` at ${event.registers[0].rip ?? event.registers[0].eip}`}; go on with: kill -CONT ${event.pid}`,
          ];
    case 'warning':
      return [`guard: warning: ${event.what} (process ${event.pid})`];
    case 'lost':
      return [`guard: not followed: ${event.what} (process ${event.pid})`];
    case 'skipped':
      return [`guard: ${event.blocks} blocks of process ${event.pid} were left out`];
    case 'process-ended':
      return verdictLines(event);
    case 'ended':
      return [];
  }
}

function verdictLines(event: Extract<GuardEvent, { event: 'process-ended' }>): string[] {
  const { verdict, pValue, wasAlarmed, judged, because, knownPlaces, sample } = event;
  if (verdict === 'not-judged') return [];
  const reasons: Readonly<Record<string, string>> = {
    threads: 'it ran threads',
    'mapped-later': 'it mapped code later',
    'made-code': 'it made code',
    skipped: 'stretches were left out',
    'other-builds': 'its images are other builds',
  };
  const why = because.map((reason) => reasons[reason] ?? reason).join(', ');
  const again = judged === 'again' ? `, judged again as a whole because ${why}` : '';
  const alarm = wasAlarmed ? ' (there was an alarm)' : '';
  const passed = passedOverText(knownPlaces);
  const known = passed === undefined ? '' : ` (${passed})`;
  const line = `guard: process ${event.pid}: ${verdict}, p ${pValue?.toFixed(3) ?? '?'}${known}${alarm}${again}`;
  return sample === undefined ? [line] : [line, `guard: its sample is ${sample}`];
}
