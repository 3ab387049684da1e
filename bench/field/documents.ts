import { crc32, deflateSync } from 'node:zlib';
import type { Random } from '../../src/base/random.ts';
import { between, pick, times } from './program.ts';

const syllables =
  'ka to mi ne ru so la vi do pe zu an el or ist ung tion che ber gra plu fo dri qua'.split(' ');

export function word(random: Random): string {
  return times(between(random, 1, 4), () => pick(random, syllables)).join('');
}

export function words(random: Random, count: number): string[] {
  return times(count, () => word(random));
}

export function sentence(random: Random): string {
  const text = words(random, between(random, 3, 14)).join(' ');
  return `${text[0].toUpperCase()}${text.slice(1)}${pick(random, ['.', '.', '!', '?', ';'])}`;
}

export function prose(random: Random, lines: number): string {
  return `${times(lines, () => sentence(random)).join('\n')}\n`;
}

/** @returns lines of `columns` numbers and words, the first a heading */
export function table(random: Random, rows: number, columns: number, separator = ','): string {
  const kinds = times(columns, () => random.below(3));
  const cell = (kind: number): string =>
    kind === 0 ? word(random) : kind === 1 ? `${random.below(10000)}` : random.normal().toFixed(3);
  const head = words(random, columns).join(separator);
  return `${[head, ...times(rows, () => kinds.map(cell).join(separator))].join('\n')}\n`;
}

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

export function json(random: Random, depth: number): Json {
  const kind = depth === 0 ? random.below(5) : 4 + random.below(4);
  if (kind === 0) return null;
  if (kind === 1) return random.below(2) === 0;
  if (kind === 2) return random.below(100000);
  if (kind === 3) return Number(random.normal().toFixed(4));
  if (kind === 4) return pick(random, [word(random), sentence(random), 'a"b\\c\u00e9\n\t', '']);
  if (kind === 5) return times(between(random, 1, 6), () => json(random, depth - 1));
  const members = times(between(random, 1, 6), () => [word(random), json(random, depth - 1)]);
  return Object.fromEntries(members) as Json;
}

export function xml(random: Random, depth: number): string {
  const name = word(random);
  const attributes = times(random.below(3), () => ` ${word(random)}="${word(random)}&amp;"`);
  const unique = [...new Map(attributes.map((text) => [text.split('=')[0], text])).values()];
  const content = (): string => {
    const kind = random.below(depth > 0 ? 7 : 4);
    if (kind === 0) return `<!-- ${word(random)} -->`;
    if (kind === 1) return `<![CDATA[${sentence(random)} < &]]>`;
    if (kind === 2) return `<?${word(random)} ${word(random)}?>`;
    if (kind === 3) return `${sentence(random)} &#${between(random, 60, 900)}; &gt;`;
    return xml(random, depth - 1);
  };
  const inside = times(random.below(5), content).join('\n');
  return inside === ''
    ? `<${name}${unique.join('')}/>`
    : `<${name}${unique.join('')}>${inside}</${name}>`;
}

export function html(random: Random, parts: number): string {
  const part = (): string => {
    const kind = random.below(6);
    if (kind === 0) return `<h${between(random, 1, 4)}>${sentence(random)}</h2>`;
    if (kind === 1) return `<p>${sentence(random)} <b>${word(random)}<i>x</b></i>`;
    if (kind === 2) return `<ul><li>${words(random, 4).join('<li>')}</ul>`;
    if (kind === 3) return `<table><tr><td>${words(random, 3).join('<td>')}</table>`;
    if (kind === 4) return `<a href="${word(random)}.html" onclick='f("${word(random)}")'>x</a>`;
    return `<pre>${prose(random, 2)}</pre><br><img src=${word(random)}.png>`;
  };
  return `<title>${word(random)}</title>\n${times(parts, part).join('\n')}\n`;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  const sum = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** @returns a PNG of one of the colour types, with lines of one or of changing filters */
export function png(random: Random, width: number, height: number): Uint8Array {
  const [colour, channels] = pick(random, [
    [0, 1],
    [2, 3],
    [3, 1],
    [4, 2],
    [6, 4],
  ] as const);
  const wide = width * channels;
  const rows = Buffer.alloc((wide + 1) * height);
  const style = random.below(4);
  for (let y = 0; y < height; y++) {
    rows[y * (wide + 1)] = style === 3 ? random.below(5) : 0;
    for (let x = 0; x < wide; x++) {
      const value = [x + y, x ^ y, random.below(256), Math.floor(x / 8) * 16][style];
      rows[y * (wide + 1) + 1 + x] = colour === 3 ? value & 15 : value;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  head[9] = colour;
  const palette = Buffer.from(times(48, () => random.below(256)));
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', head),
    ...(colour === 3 ? [chunk('PLTE', palette)] : []),
    ...(random.below(2) === 0 ? [chunk('tEXt', Buffer.from(`Title\0${word(random)}`))] : []),
    chunk('IDAT', deflateSync(rows, { level: 1 + random.below(9) })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** @returns a WAV file of 16-bit samples: tones, noise and silence */
export function wav(random: Random, samples: number): Uint8Array {
  const channels = between(random, 1, 2);
  const data = Buffer.alloc(samples * channels * 2);
  const tones = times(3, () => 0.01 + random.uniform() / 3);
  const noise = pick(random, [0, 20, 3000]);
  for (let i = 0; i < samples * channels; i++) {
    const t = Math.floor(i / channels);
    const tone = tones.reduce((sum, w, k) => sum + Math.sin(w * t + k) / (k + 2), 0);
    const quiet = t > samples / 2 && tones[0] > 0.2;
    const value = quiet ? 0 : Math.round(tone * 9000 + noise * random.normal());
    data.writeInt16LE(Math.max(-32768, Math.min(32767, value)), i * 2);
  }
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(44100, 24);
  head.writeUInt32LE(44100 * channels * 2, 28);
  head.writeUInt16LE(channels * 2, 32);
  head.writeUInt16LE(16, 34);
  head.write('data', 36);
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** @returns a PDF of some pages, with streams plain or compressed, and a table of its objects */
export function pdf(random: Random): Uint8Array {
  const pages = between(random, 1, 5);
  const objects: Buffer[] = [];
  const add = (text: string, data?: Uint8Array): void => {
    const stream =
      data === undefined
        ? Buffer.alloc(0)
        : Buffer.concat([Buffer.from('stream\n'), data, Buffer.from('\nendstream\n')]);
    objects.push(
      Buffer.concat([
        Buffer.from(`${objects.length + 1} 0 obj\n${text}\n`),
        stream,
        Buffer.from('endobj\n'),
      ]),
    );
  };
  const kids = times(pages, (i) => `${4 + 2 * i} 0 R`).join(' ');
  add('<< /Type /Catalog /Pages 2 0 R /Lang (en) >>');
  add(
    `<< /Type /Pages /Kids [${kids}] /Count ${pages} /MediaBox [0 0 300 ${between(random, 200, 600)}] >>`,
  );
  add(
    `<< /Type /Font /Subtype /Type1 /BaseFont /${pick(random, ['Helvetica', 'Courier', 'Times-Roman'])} >>`,
  );
  for (let i = 0; i < pages; i++) {
    const lines = times(between(random, 1, 20), () => {
      const text = sentence(random).replace(/[()\\]/g, '\\$&');
      return pick(random, [
        `BT /F1 ${between(random, 6, 30)} Tf ${random.below(200)} ${random.below(300)} Td (${text}) Tj ET`,
        `${random.below(200)} ${random.below(200)} 40 30 re ${pick(random, ['f', 'S', 'B'])}`,
        `q 1 0 0 1 ${random.below(9)} 0 cm ${random.uniform().toFixed(3)} g Q`,
      ]);
    }).join('\n');
    const extra = pick(random, [
      '',
      '/Rotate 90',
      '/Annots []',
      `/Tabs /S /Note <${crc32(lines).toString(16).padStart(8, '0')}>`,
    ]);
    add(
      `<< /Type /Page /Parent 2 0 R ${extra} /Contents ${objects.length + 2} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`,
    );
    const isPacked = random.below(2) === 0;
    const data = isPacked ? deflateSync(lines) : Buffer.from(lines);
    add(`<< /Length ${data.length} ${isPacked ? '/Filter /FlateDecode ' : ''}>>`, data);
  }
  add(`<< /Title (${word(random)}) /Producer (${word(random)} \\(x\\)) >>`);
  const head = Buffer.from(`%PDF-1.${between(random, 3, 7)}\n%\xe2\xe3\n`, 'latin1');
  let offset = head.length;
  const rows = objects.map((object) => {
    const row = `${String(offset).padStart(10, '0')} 00000 n \n`;
    offset += object.length;
    return row;
  });
  const size = objects.length + 1;
  const tail = `xref\n0 ${size}\n0000000000 65535 f \n${rows.join('')}trailer\n<< /Size ${size} /Root 1 0 R /Info ${size - 1} 0 R >>\nstartxref\n${offset}\n%%EOF\n`;
  return Buffer.concat([head, ...objects, Buffer.from(tail)]);
}
