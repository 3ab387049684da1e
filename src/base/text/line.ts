/**
 * Names in files that hold one a line. A file's name may hold anything but a slash and a zero, so that
 * one with a line break would forge the lines behind it. Names that could be misread stand as a JSON
 * string; all others as they are, as older tools write them.
 */
const misread = /[\p{Cc}\u2028\u2029]|^[\s"[]|\s$|^$/u;

/** @returns one line, without its end, that `fromLine` turns into the name again */
export function toLine(name: string): string {
  return misread.test(name) ? JSON.stringify(name) : name;
}

/** @param line  as a file has it; white space around a name that is no JSON string is not part of it */
export function fromLine(line: string): string {
  const text = line.trim();
  if (!text.startsWith('"')) return text;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'string') return value;
  } catch {
    // A name that older tools wrote as it is.
  }
  return text;
}

/** @returns a path as `/proc/PID/maps` has it: a line break, and nothing else, is `\012` there */
export function toMapPath(path: string): string {
  return path.replaceAll('\n', '\\012');
}

/** @see proc_pid_maps(5), on `\012` */
export function fromMapPath(path: string): string {
  return path.replaceAll('\\012', '\n');
}
