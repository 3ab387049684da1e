/** @returns the first index whose value is at least `wanted`, in ascending `values` */
export function firstAtLeast(values: Int32Array | readonly number[], wanted: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
