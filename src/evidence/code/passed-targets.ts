import type { Address } from '../../base/address.ts';
import { Transfer } from '../../x86/transfer.ts';
import type { Place, ProcessCode } from './process-code.ts';
import { systemVArguments, windowsArguments } from './values/arguments.ts';

/** Calls in front of which a function's address is looked for behind where it is computed. */
const mostCalls = 4;
/** Functions through which an argument is handed on. */
const mostHands = 2;
/** Places that compute one address and are looked at. */
const mostComputed = 64;

/**
 * Functions that the code itself hands to the function that calls them: `pthread_once(&once, start)` or
 * `bsearch(..., compare)`, where the address is computed in front of a direct call and stays in registers until it is
 * called. No pointer in memory leads there that somebody may have changed.
 *
 * 64-bit code only: 32-bit code passes arguments in memory.
 */
export class PassedTargets {
  readonly #process: ProcessCode;
  /** Whether a function hands an argument on, by all that is asked. */
  readonly #handed: Map<string, boolean> = new Map();

  constructor(process: ProcessCode) {
    this.#process = process;
  }

  /** @returns whether a transfer calls what its function was given as an argument, and nothing else */
  callsArgument(site: Address): boolean {
    return this.#argumentOf(site) !== undefined;
  }

  /**
   * @param site  address of the instruction of an indirect call or jump
   * @returns whether code computes the address of `target` and hands it to the function of `site`, which calls it
   */
  isPassed(site: Address, target: Address): boolean {
    const register = this.#argumentOf(site);
    const wanted = this.#process.functionRange(site)?.start;
    const place = this.#process.place(target);
    if (register === undefined || wanted === undefined || place === undefined) return false;
    const computing = place.code.pointerTargets.computedAt(place.own);
    for (const computed of computing.slice(0, mostComputed)) {
      for (const call of this.#callsBehind(computed + place.bias)) {
        const passing = this.#argumentsOf(place).filter((argument) =>
          this.#mayHold(call, argument, (value) => value === place.own),
        );
        for (const callee of this.#calleesOf(call)) {
          const isHanded = passing.some((argument) =>
            this.#hands(callee, argument, { start: wanted, register }, mostHands),
          );
          if (isHanded) return true;
        }
      }
    }
    return false;
  }

  /** @returns the argument register that holds where a transfer leads when its function begins */
  #argumentOf(site: Address): number | undefined {
    const place = this.#process.place(site);
    if (place === undefined || place.code.tables.bits === 32) return undefined;
    const { argument } = place.code.sites.at(place.own);
    return argument !== undefined && this.#argumentsOf(place).includes(argument)
      ? argument
      : undefined;
  }

  #argumentsOf({ code }: Place): readonly number[] {
    return code.tables.format === 'pe' ? windowsArguments : systemVArguments;
  }

  /** Whether a function hands what it gets in a register to another one, unchanged. */
  #hands(
    callee: Address,
    given: number,
    wanted: { readonly start: Address; readonly register: number },
    left: number,
  ): boolean {
    if (callee === wanted.start) return given === wanted.register;
    const key = `${callee} ${given} ${wanted.start} ${wanted.register} ${left}`;
    const known = this.#handed.get(key);
    if (known !== undefined) return known;
    const isHanded = this.#handsOn(callee, given, wanted, left);
    this.#handed.set(key, isHanded);
    return isHanded;
  }

  #handsOn(
    callee: Address,
    given: number,
    wanted: { readonly start: Address; readonly register: number },
    left: number,
  ): boolean {
    const place = this.#process.place(callee);
    if (left === 0 || place === undefined) return false;
    const range = place.code.rangeAt(place.own);
    if (range?.start !== place.own) return false;
    for (const call of this.#transfersOut(place)) {
      for (const next of this.#calleesOf(call)) {
        // What is asked first is cheap: the last hand must be the function itself.
        if (left === 1 && next !== wanted.start) continue;
        const isHanded = this.#argumentsOf(place).some(
          (argument) =>
            // What is remembered comes first.
            this.#hands(next, argument, wanted, left - 1) &&
            this.#mayHold(call, argument, undefined, given),
        );
        if (isHanded) return true;
      }
    }
    return false;
  }

  /** Whether a register holds, on some way to a call, an address or what another register held at the beginning. */
  #mayHold(
    call: Address,
    register: number,
    isWanted: ((address: number) => boolean) | undefined,
    given?: number,
  ): boolean {
    const place = this.#process.place(call);
    if (place === undefined) return false;
    return place.code.sites
      .heldAt(place.own, register)
      .some(({ address, argument }) =>
        isWanted === undefined
          ? argument !== undefined && argument === given
          : address !== undefined && isWanted(address),
      );
  }

  /** The calls, and jumps to other functions, that directly follow the computation of an address. */
  #callsBehind(computed: Address): Address[] {
    const place = this.#process.place(computed);
    const found = place?.code.sites.flowAt(place.own);
    if (place === undefined || found === undefined) return [];
    const { flow, start } = found;
    const calls: Address[] = [];
    let index = flow.indexAt(place.own - start);
    while (index >= 0 && index < flow.starts.length && calls.length < mostCalls) {
      const kind = flow.kinds[index];
      const isCall = kind === Transfer.call || kind === Transfer.icall;
      if (isCall || (kind === Transfer.jmp && flow.targets[index] < 0)) {
        calls.push(start + flow.starts[index] + place.bias);
      }
      if (!flow.goesOn(index)) break;
      index++;
    }
    return calls;
  }

  /** Calls and jumps of a function that lead out of it. */
  #transfersOut(place: Place): Address[] {
    const found = place.code.sites.flowAt(place.own);
    if (found === undefined) return [];
    const { flow, start } = found;
    const transfers: Address[] = [];
    for (let index = 0; index < flow.starts.length; index++) {
      const kind = flow.kinds[index];
      const isDirect = kind === Transfer.call || kind === Transfer.jmp;
      if (isDirect && flow.targets[index] < 0) {
        transfers.push(start + flow.starts[index] + place.bias);
      }
    }
    return transfers;
  }

  /** The functions that a direct transfer, or one through a slot of the loader's, leads to. */
  #calleesOf(call: Address): readonly Address[] {
    const place = this.#process.place(call);
    if (place === undefined) return [];
    const slotted = this.#process.slotTargets(call);
    if (slotted !== undefined) return slotted;
    const target = place.code.sites.directTarget(place.own);
    if (target === undefined) return [];
    const callee = target + place.bias;
    return this.#process.stubTargets(callee) ?? [callee];
  }
}
