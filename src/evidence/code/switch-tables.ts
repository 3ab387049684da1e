import type { Address } from '../../base/address.ts';
import type { ProcessCode } from './process-code.ts';
import type { ImageMemory } from './tables/image-memory.ts';

/** Bytes of the largest table that is looked at. */
const tableBytes = 1 << 16;

/**
 * Jump tables of `switch`, wherever a function uses one: 32-bit distances from their own start, or
 * addresses. For jumps whose own table cannot be told, such as one into a part of the function that
 * stands apart.
 */
export class SwitchTables {
  readonly #process: ProcessCode;
  /** Where tables of an image lead, by module; its own addresses. */
  readonly #targets: Map<number, ReadonlySet<number>> = new Map();

  constructor(process: ProcessCode) {
    this.#process = process;
  }

  /** @returns whether some table of the image that holds the site leads to the target */
  leadsTo(site: Address, target: Address): boolean {
    if (this.#process.namesTarget(site, target)) return true;
    const place = this.#process.place(site);
    if (place === undefined) return false;
    const { module, code, bias } = place;
    let targets = this.#targets.get(module);
    if (targets === undefined) {
      targets = read(code.memory, code.references.data);
      this.#targets.set(module, targets);
    }
    return targets.has(target - bias);
  }
}

/** @param tables  places that code refers to, ascending */
function read(memory: ImageMemory, tables: Float64Array): Set<number> {
  const targets = new Set<number>();
  for (const table of tables) {
    // Tables follow each other: entries count while they lead into code.
    for (let at = table; at < table + tableBytes; at += 4) {
      const distance = memory.int32(at);
      if (distance === undefined || !memory.isCode(table + distance)) break;
      targets.add(table + distance);
    }
  }
  return targets;
}
