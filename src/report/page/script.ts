/**
 * The report's behaviour: theme, sorting, filtering, focus on page changes, timeline zoom. The page
 * works without it (pages change by `:target`), only less comfortably. It reads nothing but
 * attributes that the renderer wrote and never makes markup from text.
 */
export const pageScript: string = `'use strict';
(() => {
const root = document.documentElement;
// The page as it came, for a copy with notes in it.
const original = document.getElementById('notes') && root.cloneNode(true);
root.classList.add('js');
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// Theme: as the system says, until the button is used.
const remember = (value) => { try { localStorage.setItem('wayward-theme', value); } catch {} };
const remembered = () => { try { return localStorage.getItem('wayward-theme'); } catch { return null; } };
const isDark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
const themeButton = $('#theme');
const showTheme = () => { themeButton.textContent = isDark() ? 'Light' : 'Dark'; themeButton.setAttribute('aria-label', isDark() ? 'Use light colours' : 'Use dark colours'); };
if (remembered() === 'dark' || remembered() === 'light') root.dataset.theme = remembered();
themeButton.hidden = false;
themeButton.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; remember(root.dataset.theme); showTheme(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', showTheme);
showTheme();

// Pages.
const title = document.title;
const pageOf = (hash) => { const at = hash.length > 1 ? document.getElementById(hash.slice(1)) : null; return at ? at.closest('main > section') : null; };
const showPage = (moved) => {
  const page = pageOf(location.hash) ?? $('#traces');
  for (const link of $$('nav a')) {
    if (link.hash === '#' + page.id) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  const heading = $('h2', page);
  document.title = page.id === 'traces' ? title : heading.textContent.slice(0, 80) + ' – ' + title;
  if (moved && location.hash === '#' + page.id) { heading.focus({ preventScroll: true }); scrollTo(0, 0); }
};
addEventListener('hashchange', () => showPage(true));
$('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  const heading = $('h2', pageOf(location.hash) ?? $('#traces'));
  heading.focus();
});
showPage(false);

// The overview: sorting and filtering.
const tables = $$('.overview');
const collator = new Intl.Collator('en', { numeric: true });
for (const table of tables) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = $$('thead th', table);
  const valueOf = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim().toLowerCase();
  const sortBy = (head) => {
    const column = head.cellIndex;
    const isNumber = head.dataset.type === 'number';
    const held = head.getAttribute('aria-sort');
    const order = held ? (held === 'ascending' ? -1 : 1) : head.dataset.first === 'descending' ? -1 : 1;
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', order === 1 ? 'ascending' : 'descending');
    const keyed = rows.map((row) => [valueOf(row, column), row]);
    keyed.sort(([a], [b]) => {
      // Rows without a value stay last either way.
      if (a === '' || b === '') return a === b ? 0 : a === '' ? 1 : -1;
      return order * (isNumber ? a - b : collator.compare(a, b));
    });
    body.append(...keyed.map(([, row]) => row));
    $('#said').textContent = 'sorted by ' + $('button', head).textContent + ', ' + (order === 1 ? 'ascending' : 'descending');
  };
  for (const head of heads) { const button = $('button', head); button.disabled = false; button.addEventListener('click', () => sortBy(head)); }
}
if (tables.length > 0) {
  const box = $('#filter');
  const kind = $('#kind');
  const rest = $('.rest');
  const all = tables.flatMap((table) => [...table.tBodies[0].rows]);
  const texts = all.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const wanted = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const isAsked = wanted.length > 0 || kind.value !== '';
    let shown = 0, folded = 0;
    all.forEach((row, i) => {
      const fits = wanted.every((word) => texts[i].includes(word)) && (kind.value === '' || row.dataset.kind.split(' ').includes(kind.value));
      row.hidden = !fits;
      if (fits) shown++;
      if (fits && rest?.contains(row)) folded++;
    });
    // What was asked for is not left folded away.
    if (rest && isAsked) rest.open = folded > 0;
    $('#shown').textContent = shown === all.length ? shown + (shown === 1 ? ' trace' : ' traces') + (folded > 0 ? ', ' + folded + ' of them folded below' : '') : shown + ' of ' + all.length + ' traces';
  };
  box.addEventListener('input', filter);
  kind.addEventListener('change', filter);
  $('.tools').hidden = false;
  filter();
}

// Notes of a page of one trace: saved as a copy of the page.
if (original) {
  const notes = $('#notes');
  let kept = notes.value;
  const save = $('#save');
  save.hidden = false;
  save.addEventListener('click', () => {
    // A line break at the beginning of a text area is no part of its text.
    $('#notes', original).textContent = '\\n' + notes.value;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob(['<!doctype html>\\n', original.outerHTML], { type: 'text/html' }));
    link.download = decodeURIComponent(location.pathname.split('/').pop()) || 'alarm.html';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    kept = notes.value;
    $('#saved').textContent = 'saved as ' + link.download;
  });
  notes.addEventListener('input', () => { $('#saved').textContent = notes.value === kept ? '' : 'not saved yet'; });
  addEventListener('beforeunload', (event) => { if (notes.value !== kept) event.preventDefault(); });
}

// Timelines.
for (const box of $$('.timeline-box')) {
  const svg = $('svg.timeline', box);
  if (!svg) continue;
  const total = Number(box.dataset.blocks);
  const left = Number(box.dataset.left), width = Number(box.dataset.right) - left;
  const lanes = $$('svg[data-bins]', svg);
  const least = Math.min(total, Math.max(50, total / 200));
  const ticks = $('.ticks', svg);
  const said = $('.zoom span', box);
  const write = (n) => Math.round(n).toString().replace(/\\B(?=(\\d{3})+(?!\\d))/g, '\\u202f');
  let from = 0, to = total;
  const show = () => {
    const x = (block) => (block - from) / (to - from) * width;
    for (const lane of lanes) {
      const bins = Number(lane.dataset.bins);
      lane.setAttribute('viewBox', from / total * bins + ' 0 ' + (to - from) / total * bins + ' 100');
    }
    for (const band of $$('rect[data-from]', svg)) {
      const a = x(Number(band.dataset.from));
      band.setAttribute('x', a);
      band.setAttribute('width', Math.max(3, x(Number(band.dataset.to)) - a));
    }
    for (const mark of $$('rect[data-at]', svg)) mark.setAttribute('x', x(Number(mark.dataset.at)));
    for (const flag of $$('g[data-at]', svg)) flag.setAttribute('transform', 'translate(' + x(Number(flag.dataset.at)) + ' 0)');
    // The first of 1, 2, 5, 10, ... that leaves at most eight labels.
    const power = 10 ** Math.floor(Math.log10(Math.max(1, (to - from) / 8)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => (to - from) / s <= 8);
    const labels = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const label = document.createElementNS('http://www.w3.org/2000/svg', 'text');
      const px = x(at);
      if (px > width - 24) break;
      label.setAttribute('x', left + px);
      label.setAttribute('y', box.dataset.axis);
      label.setAttribute('text-anchor', px < 24 ? 'start' : 'middle');
      label.setAttribute('font-size', '11');
      label.setAttribute('fill', 'var(--muted)');
      label.textContent = write(at);
      labels.push(label);
    }
    ticks.replaceChildren(...labels);
    said.textContent = from === 0 && to === total ? 'whole trace' : 'blocks ' + write(from) + ' to ' + write(to);
  };
  const zoom = (factor, around = (from + to) / 2) => {
    const span = Math.min(total, Math.max(least, (to - from) * factor));
    const share = (around - from) / (to - from);
    from = Math.min(Math.max(0, around - share * span), total - span);
    to = from + span;
    show();
  };
  const move = (share) => {
    const by = Math.min(Math.max((to - from) * share, -from), total - to);
    from += by; to += by;
    show();
  };
  const whole = () => { from = 0; to = total; show(); };
  const actions = { in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.25), right: () => move(0.25), whole };
  for (const button of $$('.zoom button', box)) button.addEventListener('click', () => actions[button.dataset.do]());
  const keys = { '+': 'in', '=': 'in', '-': 'out', ArrowLeft: 'left', ArrowRight: 'right', 0: 'whole', Home: 'whole' };
  const plot = $('.plotbox', box);
  plot.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    actions[keys[event.key]]();
  });
  const blockAt = (event) => {
    const frame = svg.getBoundingClientRect();
    const px = (event.clientX - frame.left) / frame.width * svg.viewBox.baseVal.width - left;
    return from + Math.min(1, Math.max(0, px / width)) * (to - from);
  };
  let start;
  svg.addEventListener('pointerdown', (event) => { if (event.button === 0 && event.pointerType === 'mouse') { start = blockAt(event); event.preventDefault(); svg.setPointerCapture(event.pointerId); } });
  svg.addEventListener('pointerup', (event) => {
    if (start === undefined) return;
    const end = blockAt(event);
    const wide = Math.abs(end - start);
    if (wide > (to - from) * 0.01) { zoom(wide / (to - from), start); from = Math.max(0, Math.min(Math.min(start, end), total - (to - from))); to = from + Math.max(least, wide); to = Math.min(to, total); show(); }
    start = undefined;
  });
  svg.addEventListener('dblclick', whole);
  // On a narrow screen the first patch is what is seen first.
  const flag = $('g[data-at]:last-child', svg);
  const reveal = () => {
    if (!flag || plot.scrollWidth <= plot.clientWidth) return;
    const at = left + Number(flag.dataset.at) / total * width;
    plot.scrollLeft = at / svg.viewBox.baseVal.width * plot.scrollWidth - plot.clientWidth / 2;
  };
  new ResizeObserver(reveal).observe(plot);
  for (const link of $$('[data-zoom]', box.closest('section'))) {
    link.hidden = false;
    link.addEventListener('click', () => {
      const [a, b] = link.dataset.zoom.split('-').map(Number);
      const span = Math.min(total, Math.max(least, (b - a + 1) * 3));
      from = Math.max(0, Math.min((a + b) / 2 - span / 2, total - span));
      to = from + span;
      show();
      plot.focus();
      plot.scrollIntoView({ block: 'center' });
    });
  }
}
})();
`;
