import type { ReportData } from '../../src/report/data/report-data.ts';
import { madeUpReport } from './made-up-report.ts';

/** What a sample directory, a file name or a symbol could be called by someone who means harm. */
export const hostileStrings: readonly string[] = [
  '<script>globalThis.hacked=1</script>',
  '</script><script>globalThis.hacked=1</script>',
  '</style><img src=x onerror="globalThis.hacked=1">',
  '"><svg onload=globalThis.hacked=1>',
  "' onmouseover='globalThis.hacked=1",
  '" autofocus onfocus="globalThis.hacked=1" x="',
  '</title><body onload=globalThis.hacked=1>',
  '<!--',
  ']]><![CDATA[',
  'javascript:globalThis.hacked=1',
  '<base href="https://example.invalid/">',
  '<link rel=stylesheet href=https://example.invalid/x.css>',
  '&lt;script&gt;&#x3c;b&#62;',
  '{{constructor.constructor("globalThis.hacked=1")()}}',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as an attacker would write it
  '`${globalThis.hacked=1}`',
  '../../etc/passwd',
  '..\\..\\windows\\system32',
  'a\u202egpj.exe',
  '\u0000\u0007\u001b[2J\r\n\t',
  '\ud800 lone',
  '漢字'.repeat(50),
  'W'.repeat(10_240),
  `${'<b>'.repeat(3000)}`,
  '',
  '__proto__',
  'constructor',
];

/** A report in which every string comes from `next`: by default the hostile ones in turn. */
export function hostileReport(next?: () => string): ReportData {
  let at = 0;
  const words = next ?? (() => hostileStrings[at++ % hostileStrings.length]!);
  const data = madeUpReport({ traces: hostileStrings.length, bins: 20 });
  // Kinds and units are ours; all else may come from outside.
  const kept = new Set(['label', 'role', 'verdict', 'unit', 'data', 'kind', 'evidence', 'part']);
  const replace = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return kept.has(key) ? value : words();
    if (Array.isArray(value)) return value.map((item) => replace(item, key));
    if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, replace(item, name)]),
    );
  };
  const hostile = replace(data, '') as ReportData;
  return {
    ...hostile,
    rows: hostile.rows.map((row, i) => ({
      ...row,
      name: next === undefined ? hostileStrings[i]! : words(),
    })),
  };
}
