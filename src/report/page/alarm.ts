import type { ReportData, ReportRow } from '../data/report-data.ts';
import { renderReadingPage } from '../words/glossary.ts';
import { renderFrame } from './frame.ts';
import { words } from './html.ts';
import { renderRunPage } from './run.ts';
import { renderTracePage } from './trace.ts';

/**
 * One HTML page about one trace, to be handed on, with room for notes. What is written there is kept by
 * saving the page from itself: a copy of the file with the notes in it.
 *
 * @param notes  that the page has from the beginning
 */
export function renderAlarm(data: ReportData, row: ReportRow, notes: string = ''): string {
  return renderFrame({
    title: `${row.name} - ${data.title}`,
    generator: data.generator,
    created: data.created,
    pages: [
      ['traces', 'Trace'],
      ['reading', 'How to read'],
      ['run', 'Run'],
    ],
    content: [
      renderTracePage(row, {
        ...{ id: 'traces', unit: data.unit, neighbours: undefined },
        notes: `<p class="muted">${words(data.rule.summary)}</p>${notesBox(notes)}`,
      }),
      renderReadingPage(data.unit),
      renderRunPage(data),
    ].join('\n'),
  });
}

/** A line break at the beginning of a text area is no part of its text. */
function notesBox(notes: string): string {
  return `<h3><label for="notes">Notes</label></h3><textarea id="notes" rows="4" spellcheck="false" placeholder="what was found, who looks into it">\n${words(notes, 100_000)}</textarea>
<p class="notes"><button type="button" id="save" hidden>Save the page with these notes</button> <span id="saved" class="muted" role="status"></span></p>`;
}
