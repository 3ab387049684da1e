import type { AddressSpace, Section } from '../src/image/address-space.ts';

/** Where the code of `codeSpace` lies. */
export const codeBase = 0x401000;

/** A process whose only module is some bytes of code. */
export function codeSpace(code: ArrayLike<number>): AddressSpace {
  const bytes = Uint8Array.from(code);
  const end = codeBase + bytes.length;
  const section: Section = {
    start: codeBase,
    end,
    bytes,
    module: 0,
    isExecutable: true,
    image: bytes,
    imageOffset: 0,
  };
  const holds = (address: number): boolean => address >= codeBase && address < end;
  return {
    modules: [{ path: '/a', name: 'a', base: codeBase }],
    sections: [section],
    find: (address) => (holds(address) ? section : undefined),
    moduleAt: (address) => (holds(address) ? 0 : -1),
    isExecutable: () => true,
    symbolAt: () => undefined,
    isFunctionEntry: () => undefined,
    missing: [],
    flat: [],
  };
}
