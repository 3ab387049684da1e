import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ImageSymbol } from '../image/files/image.ts';
import { nameOf, SymbolTable } from './symbol-table.ts';

const symbol = fc.record({
  address: fc.nat(60),
  size: fc.nat(6),
  name: fc.constantFrom('malloc', '__libc_malloc', '_Z3foov', 'bar', 'label'),
  isFunction: fc.boolean(),
});

test('finds what a plain search finds', () => {
  fc.assert(
    fc.property(fc.array(symbol, { maxLength: 12 }), fc.nat(70), (symbols, address) => {
      const table = new SymbolTable(symbols);
      const last = Math.max(-1, ...symbols.map((s) => s.address).filter((at) => at <= address));
      expect(table.before(address)?.address).toBe(last < 0 ? undefined : last);
      const over = table.over(address);
      if (over !== undefined) {
        expect(over.address).toBeLessThanOrEqual(address);
        expect(over.address + Math.max(1, over.size)).toBeGreaterThan(address);
      }
      // Only what stands at one address with something better known is passed over.
      const isOver = (s: ImageSymbol): boolean =>
        s.isFunction && s.address <= address && address < s.address + Math.max(1, s.size);
      const isAlone = (s: ImageSymbol): boolean =>
        symbols.every((other) => other === s || other.address !== s.address);
      if (symbols.some((s) => isOver(s) && isAlone(s))) expect(over?.isFunction).toBe(true);
    }),
    { seed: 1 },
  );
});

test('of several names for one place, the best known stays', () => {
  const at = (name: string, isFunction = true): ImageSymbol => ({
    ...{ address: 16, size: 8, name, isFunction },
  });
  const names = ['__libc_malloc', 'malloc', '__malloc', 'a_label'].map((name, i) =>
    at(name, i < 3),
  );
  for (const order of [names, names.toReversed()]) {
    expect(new SymbolTable(order).over(20)?.name).toBe('malloc');
  }
  const mangled = new SymbolTable([at('_Z3foov'), at('__alias')]).over(16);
  expect(mangled === undefined ? undefined : nameOf(mangled)).toBe('foo()');
});
