/** `1,234,567`, for messages and terminals. */
export function showCount(value: number): string {
  return value.toLocaleString('en-US');
}
