/** @returns how often a run came by known places, in words; `undefined` where it came by none */
export function passedOverText(
  knownPlaces: readonly { readonly times: number }[],
): string | undefined {
  const passed = knownPlaces.reduce((sum, { times }) => sum + times, 0);
  return passed === 0
    ? undefined
    : `${knownPlaces.length} known places passed over, ${passed} times`;
}
