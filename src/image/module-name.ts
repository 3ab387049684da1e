/** @returns whether a memory map's path is a Windows path */
export function isWindowsPath(path: string): boolean {
  return path.includes('\\');
}

/** @returns the last component of a path after `/` or `\`, in lower case for Windows paths */
export function moduleName(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  return isWindowsPath(path) ? name.toLowerCase() : name;
}

/**
 * @returns whether a memory map's path names code that a program made itself, saved by the recorder:
 *   its bytes are known, but it belongs to no file and so to no module
 */
export function isMadeCode(path: string): boolean {
  return path.startsWith('[code-');
}
