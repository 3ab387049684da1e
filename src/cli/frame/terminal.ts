import { styleText } from 'node:util';
import type { SingleBar } from 'cli-progress';
import {
  type Logger,
  type LogLevel,
  logLevels,
  type Progress,
  type ProgressSink,
} from '../../base/log.ts';
import { inOneLine, showCount } from '../../base/text/format.ts';
import { timeLeft } from './time-left.ts';

/** Colours where standard error is a terminal; `util.styleText` itself honours NO_COLOR and FORCE_COLOR. */
const colours = {
  debug: 'gray',
  info: 'blue',
  warning: 'yellow',
  error: 'red',
  critical: 'redBright',
} as const satisfies Record<LogLevel, Parameters<typeof styleText>[0]>;

export interface Terminal extends Logger {
  readonly progress: ProgressSink;
  /** Takes the progress bar away; call before the result is printed. */
  finish(): void;
}

export interface TerminalOptions {
  /** Log lines below this level are not shown. */
  readonly minimum: number;
  /** Time between status lines where there is no terminal. */
  readonly statusSeconds: number;
  readonly showsProgress: boolean;
}

/**
 * What a command tells while it works, on standard error: log lines, and a progress bar on a
 * terminal or status lines elsewhere.
 */
export function openTerminal({ minimum, statusSeconds, showsProgress }: TerminalOptions): Terminal {
  const stream = process.stderr;
  const isLive = stream.isTTY === true && process.env.CI === undefined;
  let bars: typeof import('cli-progress') | undefined;
  // Only who looks at a terminal has to wait for it; until it has come, no bar is shown.
  if (isLive) {
    void import('cli-progress').then((loaded) => {
      bars = loaded;
    });
  }
  let bar: SingleBar | undefined;
  let step = '';
  /** When the step began, and with how much done before. */
  let began = { at: 0, done: 0 };
  let lastStatus = 0;

  const finish = (): void => {
    bar?.stop();
    bar = undefined;
    step = '';
  };

  const write = (level: LogLevel, message: string, facts?: Readonly<Record<string, unknown>>) => {
    if (logLevels[level] < minimum) return;
    if (bar !== undefined) stream.write('\r\u001b[K');
    const tag = styleText(colours[level], level.padEnd(8), { stream });
    const tail = facts === undefined ? '' : ` ${formatFacts(facts)}`;
    // One write a line, so that lines of several writers stay whole.
    // One line, whatever names say: a line break in one would forge the next line.
    stream.write(`${tag}${inOneLine(`${message}${tail}`)}\n`);
  };

  const progress = (p: Progress): void => {
    if (!showsProgress || logLevels.info < minimum) return;
    const now = performance.now();
    const isNew = p.step !== step;
    if (isNew) began = { at: now, done: p.done };
    const left = timeLeft((now - began.at) / 1000, p.done - began.done, p.total - began.done);
    if (isLive) {
      if (bars === undefined) return;
      if (isNew) {
        finish();
        step = p.step;
        bar = new bars.SingleBar(
          {
            format: `{step} {bar} {percentage}% {counted} {left} {facts}`,
            hideCursor: true,
            clearOnComplete: true,
            barsize: 24,
            fps: 5,
            stream,
          },
          bars.Presets.shades_grey,
        );
        bar.start(p.total || 1, 0, payload(p, left));
      }
      bar?.setTotal(p.total || Math.max(1, p.done));
      bar?.update(p.done, payload(p, left));
      if (p.total > 0 && p.done >= p.total) finish();
      return;
    }
    if (isNew || now - lastStatus >= statusSeconds * 1000) {
      step = p.step;
      lastStatus = now;
      const { counted, facts } = payload(p, left);
      write('info', [p.step, counted, left, facts].filter((part) => part !== '').join(', '));
    }
  };

  return { log: write, progress, finish };
}

function payload(
  p: Progress,
  left: string,
): { step: string; counted: string; left: string; facts: string } {
  const of = p.total > 0 ? `/${count(p.total)}` : '';
  return {
    step: p.step,
    counted: `${count(p.done)}${of} ${p.unit}`,
    left,
    facts: p.facts === undefined ? '' : inOneLine(formatFacts(p.facts)),
  };
}

function count(value: number): string {
  return showCount(Math.round(value));
}

function formatFacts(facts: Readonly<Record<string, unknown>>): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key} ${typeof value === 'number' ? formatNumber(value) : value}`)
    .join(', ');
}

function formatNumber(value: number): string {
  if (Number.isInteger(value)) return showCount(value);
  const magnitude = Math.abs(value);
  return magnitude >= 100 ? count(value) : value.toPrecision(3);
}
