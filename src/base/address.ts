/**
 * An instruction address (linear address) as a JavaScript number.
 *
 * Canonical 48-bit addresses are kept *signed*: user space as it is, kernel space as a negative
 * number, so that every address of 4-level paging fits a double exactly and compares, adds and
 * hashes without BigInt. Addresses that need more than 53 bits (5-level paging) have no value
 * here; readers turn them into a gap or an error.
 */
export type Address = number;

const lowWord = 0x1_0000_0000;

/** @returns the address for an unsigned 64-bit value, or `undefined` when it is not canonical in 53 bits */
export function addressFromBigInt(value: bigint): Address | undefined {
  const signed = BigInt.asIntN(64, value);
  const address = Number(signed);
  return Number.isSafeInteger(address) ? address : undefined;
}

/** @returns the unsigned 64-bit value that hardware and manuals show */
export function addressToBigInt(address: Address): bigint {
  return BigInt.asUintN(64, BigInt(address));
}

/** @returns `0x` and lower-case hexadecimal of the unsigned 64-bit value */
export function formatAddress(address: Address): string {
  return address >= 0 ? `0x${address.toString(16)}` : `0x${addressToBigInt(address).toString(16)}`;
}

/** @param text  hexadecimal, with or without `0x`; @returns `undefined` when it is none */
export function parseAddress(text: string): Address | undefined {
  const digits = /^(?:0x)?([0-9a-f]{1,16})$/i.exec(text)?.[1];
  return digits === undefined ? undefined : addressFromHex(digits);
}

/** As `parseAddress`. @param digits  1 to 16 hexadecimal digits, known to be such */
export function addressFromHex(digits: string): Address | undefined {
  // 48 bits are exact without BigInt, which a map of a million lines would feel.
  if (digits.length <= 12) return Number.parseInt(digits, 16);
  return addressFromBigInt(BigInt(`0x${digits}`));
}

/** @returns bits 0..31, unsigned */
export function low32(address: Address): number {
  // A remainder of doubles takes several times as long as a division, and both are exact here.
  return address >= 0
    ? address - Math.floor(address / lowWord) * lowWord
    : Number(addressToBigInt(address) & 0xffff_ffffn);
}
