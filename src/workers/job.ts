import { createHash } from 'node:crypto';
import { isRecord, isTexts } from '../base/values.ts';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** Work that any worker can do: the name of a task and its options. Never code. */
export interface Job {
  /** Task: `preprocess`, `evaluate`, ... */
  readonly task: string;
  /** Options of the task; paths in them are absolute. */
  readonly options: { readonly [name: string]: Json | undefined };
}

/** What became of a job. */
export type Outcome =
  | {
      readonly status: 'done';
      readonly value: Json;
      /** What a user should hear: images that were not found, samples that were left out. */
      readonly warnings: readonly string[];
    }
  | {
      /** Set aside: it was refused, failed, or ended its worker each time. */
      readonly status: 'failed';
      readonly reason: string;
      /** How often it was begun. */
      readonly tries: number;
    };

/** @returns an outcome that was written as JSON, by whomever; `undefined` when it is none */
export function outcomeOf(value: unknown): Outcome | undefined {
  if (!isRecord(value)) return undefined;
  const { status, warnings, reason, tries } = value;
  const isDone = status === 'done' && isTexts(warnings);
  const hasFailed =
    status === 'failed' && typeof reason === 'string' && Number.isSafeInteger(tries);
  // Checked just now.
  return isDone || hasFailed ? (value as Outcome) : undefined;
}

/** A job that ends its process is tried so often. */
export const mostTries = 3;

/**
 * A job that is lost with its worker (a kill, a lost machine) is begun again so often. That is mostly
 * no fault of the job, so it is more than a few.
 */
export const mostLosses = 20;

/** Longest options, in bytes of JSON. A job names files, so none of ours comes near. */
export const mostBytes: number = 64 * 1024;

/**
 * Name of a job within a run: the same task with the same options has the same name, so that
 * handing it in twice is doing it once.
 *
 * @returns 22 characters of the URL-safe base64 alphabet
 */
export function jobName(run: string, { task, options }: Job): string {
  return createHash('sha256')
    .update(JSON.stringify([run, task, canonical(options)]))
    .digest('base64url')
    .slice(0, 22);
}

/** Objects become lists of pairs in order of their names. */
function canonical(value: Json | undefined): Json {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, item]) => [name, canonical(item)]);
}
