import fc from 'fast-check';

/** How many times its runs a property gets; see `CONTRIBUTING.md`. */
const times = Number(process.env.WAYWARD_TIMES);

/** For those who look for what fixed seeds have not found: other values, and more of them. */
function assert<T>(
  property: fc.IRawProperty<T>,
  parameters: fc.Parameters<T> = {},
): Promise<void> | void {
  const { seed: _, numRuns = 100, ...rest } = parameters;
  return fc.assert(property, { ...rest, numRuns: numRuns * times });
}

const searching: object = { ...fc, assert };

export * from 'fast-check';
export default searching;
