/** Everything of ours in Redis has a key that begins so. */
export const prefix = 'wayward';

/** Kinds of processor that a job may ask for; each has a queue of its own. */
export type Lane = 'cpu' | 'cuda' | 'webgpu';

/** @returns the lane of a device as `--device` names it: `cuda:1` belongs to `cuda` */
export function laneOf(device: string): Lane {
  if (device.startsWith('cuda')) return 'cuda';
  return device === 'webgpu' ? 'webgpu' : 'cpu';
}

/**
 * Name of a queue. It holds the version, so that a worker never sees the jobs of another version of
 * Wayward, whose results might differ.
 */
export function queueName(version: string, lane: Lane): string {
  return `jobs-${version.replace(/[^\w.+-]/g, '_')}-${lane}`;
}

/** What goes with a job through the queue. */
export interface QueuedJob {
  /** Version of Wayward that handed it in. */
  readonly version: string;
  readonly options: unknown;
}
