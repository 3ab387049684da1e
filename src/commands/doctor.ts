import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { messageOf, UserError } from '../base/errors.ts';
import { additionOf } from '../base/optional-package.ts';
import { kindsOfDevice } from '../model/lstm/engine.ts';
import { fontFile } from '../report/charts/fonts.ts';

/** One thing that a machine has or lacks. */
export interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'missing' | 'unsuitable';
  /** What was found: a version, a path, a number. */
  readonly found: string;
  /** What it is for, and what to do where it is missing. */
  readonly use: string;
}

/** Looks at what this machine can do for Wayward; changes nothing. */
export async function examineMachine(): Promise<readonly Finding[]> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const flags = cpuFlags();
  return [
    {
      what: 'Node.js',
      state: major > 22 || (major === 22 && minor >= 18) ? 'ok' : 'unsuitable',
      found: process.version,
      use: 'runs everything; 22.18 or newer',
    },
    {
      what: 'Processor cores',
      state: 'ok',
      found: `${availableParallelism()} (${cpus()[0]?.model.trim() ?? 'unknown'})`,
      use: 'decoding and training use all of them',
    },
    {
      what: 'Memory',
      state: totalmem() >= 4 * 2 ** 30 ? 'ok' : 'unsuitable',
      found: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
      use: '4 GiB are enough for hundreds of traces',
    },
    await onnxRuntime(),
    gpu(),
    {
      what: 'Intel PT in this processor',
      state: existsSync('/sys/bus/event_source/devices/intel_pt') ? 'ok' : 'missing',
      found: flags.has('intel_pt') ? 'flag intel_pt' : 'no flag intel_pt',
      use: 'records at full speed with perf; without it, record under qemu-user',
    },
    program('perf', ['--version'], 'records Intel PT; Debian package linux-perf'),
    program('qemu-x86_64', ['--version'], 'records without hardware; Debian package qemu-user'),
    program('cc', ['--version'], 'makes recording under qemu-user several times faster'),
    program(
      'redis-server',
      ['--version'],
      'optional: shared store and queue; Debian package redis-server',
    ),
    fonts(),
    program('chromium', ['--version'], 'optional: any browser shows the report'),
  ];
}

function cpuFlags(): ReadonlySet<string> {
  try {
    const line = /^flags\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
    return new Set(line?.split(/\s+/) ?? []);
  } catch {
    return new Set();
  }
}

async function onnxRuntime(): Promise<Finding> {
  const finding = { what: 'ONNX Runtime', use: 'optional: networks, learn --model lstm' } as const;
  try {
    return { ...finding, state: 'ok', found: (await kindsOfDevice()).join(', ') };
  } catch (error) {
    const found =
      error instanceof UserError && error.code === 'package-missing'
        ? `add it with: ${additionOf('onnxruntime-node')}`
        : (messageOf(error).split('\n')[0] ?? '');
    return { ...finding, state: 'missing', found };
  }
}

/** Pictures in PNG are drawn with fonts that come with Wayward: without them, text would be left out. */
function fonts(): Finding {
  const finding = { what: 'Fonts', use: 'text in PNG pictures' } as const;
  try {
    return { ...finding, state: 'ok', found: fontFile('DejaVuSans') };
  } catch {
    return { ...finding, state: 'missing', found: 'not installed with Wayward, as they should be' };
  }
}

function gpu(): Finding {
  const found = firstLine('nvidia-smi', ['--query-gpu=name,memory.total', '--format=csv,noheader']);
  return {
    what: 'NVIDIA GPU',
    state: found === undefined ? 'missing' : 'ok',
    found: found ?? 'no nvidia-smi',
    use: 'optional: learn --device cuda:0',
  };
}

function program(name: string, words: readonly string[], use: string): Finding {
  const found = firstLine(name, words);
  return {
    what: name,
    state: found === undefined ? 'missing' : 'ok',
    found: found ?? 'not on the PATH',
    use,
  };
}

function firstLine(name: string, words: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(name, words, { encoding: 'utf8', timeout: 10_000 });
  return status === 0 ? (stdout.split('\n')[0]?.trim() ?? '') : undefined;
}
