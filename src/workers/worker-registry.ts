import { prefix } from './queue-names.ts';
import type { RedisClient } from './redis-link.ts';

/** What a worker says of itself. */
export interface WorkerCard {
  readonly id: string;
  readonly host: string;
  readonly processId: number;
  readonly version: string;
  readonly lane: string;
  readonly tasks: readonly string[];
  /** Jobs that it does at the same time. */
  readonly width: number;
  readonly node: string;
  readonly isDraining: boolean;
}

const key = `${prefix}:workers`;
/** Milliseconds between two signs of life. */
export const heartbeat = 5000;
/** A worker that was silent for so long, in milliseconds, is gone. */
const silence = 4 * heartbeat;

/** Says that a worker is there. The server's clock counts, so that clocks need not agree. */
export async function register(client: RedisClient, card: WorkerCard): Promise<void> {
  const seen = await serverTime(client);
  await client.hSet(key, card.id, JSON.stringify({ ...card, seen }));
}

export async function unregister(client: RedisClient, id: string): Promise<void> {
  await client.hDel(key, id);
}

/** @returns the workers that are there, of whatever version; forgets those that are gone */
export async function listWorkers(client: RedisClient): Promise<readonly WorkerCard[]> {
  const now = await serverTime(client);
  const cards: WorkerCard[] = [];
  for (const [id, text] of Object.entries(await client.hGetAll(key))) {
    const card = parse(text);
    if (card !== undefined && now - card.seen < silence) cards.push(card);
    else await client.hDel(key, id);
  }
  return cards;
}

function parse(text: string): (WorkerCard & { readonly seen: number }) | undefined {
  try {
    const card = JSON.parse(text) as WorkerCard & { readonly seen: number };
    return typeof card.seen === 'number' && typeof card.version === 'string' ? card : undefined;
  } catch {
    return undefined;
  }
}

async function serverTime(client: RedisClient): Promise<number> {
  const [seconds, microseconds] = (await client.sendCommand(['TIME'])) as unknown as [
    string,
    string,
  ];
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}
