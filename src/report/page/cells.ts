/** A row whose cells tell their heads, too: narrow screens show them one below the other. */
export function cells(row: readonly (readonly [head: string, text: string, kind?: 'n'])[]): string {
  const shown = row.map(
    ([head, text, kind]) =>
      `<td data-h="${head}"${kind === undefined ? '' : ' class="n"'}>${text}</td>`,
  );
  return `<tr>${shown.join('')}</tr>`;
}
