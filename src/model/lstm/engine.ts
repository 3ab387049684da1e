import type { InferenceSession } from 'onnxruntime-node';
import { messageOf, UserError } from '../../base/errors.ts';
import { requirePackage } from '../../base/optional-package.ts';
import { OnnxGraph } from '../onnx/onnx.ts';

export type { InferenceSession, Tensor } from 'onnxruntime-node';

/** Where the numbers are crunched: `cpu`, `webgpu`, `cuda:N`. */
export type Device = string;

/**
 * Makes sure, on the main thread, that threads can load ONNX Runtime, and that it reports to nobody:
 * left alone, it keeps a data base of what it did in the user's cache folder, sends that to its
 * makers, and leaves a `mat-debug-PID.log` in the folder for temporary files. It reads the variable
 * from the process, and what a worker thread sets does not get there.
 *
 * @throws UserError `package-missing`
 */
export function prepareRuntime(): void {
  requirePackage('onnxruntime-node', 'a network');
  process.env.ORT_DISABLE_TELEMETRY = '1';
}

/**
 * Loads ONNX Runtime: late, because it takes long and most work needs none of it.
 *
 * @throws UserError `package-missing`
 */
export async function loadRuntime(): Promise<typeof import('onnxruntime-node')> {
  prepareRuntime();
  const runtime = await import('onnxruntime-node');
  // What the runtime has to say arrives as errors; it should not print as well.
  runtime.env.logLevel = 'fatal';
  return runtime;
}

/** Kinds of device that ONNX Runtime has here: `cpu`, `webgpu`, `cuda`. @throws UserError `package-missing` */
export async function kindsOfDevice(): Promise<readonly string[]> {
  const { listSupportedBackends } = await loadRuntime();
  return listSupportedBackends().map(({ name }) => name);
}

/**
 * Opens a session of one of our graphs.
 *
 * @throws UserError `package-missing`, `device-unknown`, or `device-unavailable` when the device is
 *   not there
 */
export async function openSession(model: Uint8Array, device: Device): Promise<InferenceSession> {
  const provider = executionProvider(device);
  const runtime = await loadRuntime();
  try {
    return await runtime.InferenceSession.create(model, {
      executionProviders: [provider],
      // One thread: repeated indices in ScatterND are summed wrongly by several. The work is
      // spread over worker threads instead, each with a session of its own.
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    });
  } catch (cause) {
    if (device === 'cpu') throw cause;
    // The runtime puts the failed condition, with its source file, before what it says.
    const reason = messageOf(cause)
      .split('\n')[0]
      .replace(/^.* was false\. /, '');
    throw new UserError('device-unavailable', `the device ${device} cannot be used: ${reason}`, {
      category: 'unavailable',
      cause,
    });
  }
}

/**
 * Devices of the workers: each thread has one. The processor takes `threads` of them, every other
 * device one.
 *
 * @param devices  names with commas between: `cpu`, `webgpu`, `cuda:0,cuda:1`
 * @throws UserError `device-unknown`
 */
export function devicesOfWorkers(devices: string, threads: number): readonly Device[] {
  const names = devices.split(',').map((name) => name.trim());
  for (const name of names) executionProvider(name);
  if (new Set(names).size < names.length) {
    throw new UserError('device-twice', `the devices ${devices} name one twice`, {
      category: 'arguments',
    });
  }
  return names.flatMap((name) => (name === 'cpu' ? Array<Device>(threads).fill(name) : [name]));
}

/**
 * Tries each device, so that a missing one is told before hours of work.
 *
 * @throws UserError `package-missing`, `device-unknown`, `device-unavailable`
 */
export async function tryDevices(devices: string): Promise<void> {
  prepareRuntime();
  for (const device of new Set(devicesOfWorkers(devices, 1))) {
    if (device === 'cpu') continue;
    const graph = new OnnxGraph('try');
    graph.input('x', 'float', [1]);
    graph.node('Add', ['x', 'x'], {}, 'y');
    graph.output('y', 'float', [1]);
    const session = await openSession(graph.encode(), device);
    await session.release();
  }
}

function executionProvider(device: Device): InferenceSession.ExecutionProviderConfig {
  if (device === 'cpu' || device === 'webgpu') return device;
  const id = /^cuda(?::(\d+))?$/.exec(device);
  if (id === null) {
    throw new UserError(
      'device-unknown',
      `there is no device "${device}": use cpu, webgpu or cuda:N`,
      { category: 'arguments' },
    );
  }
  return { name: 'cuda', deviceId: Number(id[1] ?? 0) };
}
