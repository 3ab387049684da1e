/** @returns whether a memory map's path is a Windows path */
function isWindowsPath(path: string): boolean {
  return path.includes('\\');
}

/** @returns the last component of a path after `/` or `\`, in lower case for Windows paths */
export function moduleName(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  return isWindowsPath(path) ? name.toLowerCase() : name;
}

/**
 * A 32-bit process on 64-bit Windows runs two libraries of one name, such as `System32\ntdll.dll` and
 * `SysWOW64\ntdll.dll`; the folder tells them apart.
 *
 * @returns `moduleName`, behind `syswow64\` for files of that folder
 */
export function qualifiedName(path: string): string {
  const name = moduleName(path);
  return /[\\/]syswow64[\\/][^\\/]*$/i.test(path) ? `syswow64\\${name}` : name;
}

/**
 * @returns whether a memory map's path names code that a program made itself, saved by the recorder:
 *   its bytes are known, but it belongs to no file and so to no module
 */
export function isMadeCode(path: string): boolean {
  return path.startsWith('[code-');
}
