// Puts the compiled modules in dist into few files, because what a command takes to start is the number of files that
// Node looks up, reads and links (docs/decisions/0009). What Node is asked for by name keeps its place: the command
// line, the library, and what runs in threads and processes of its own.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const dist = resolve('dist');
const compiled = readdirSync(dist, { recursive: true }).filter((path) => path.endsWith('.js'));

/** `new URL(`./NAME${extname(import.meta.url)}`, import.meta.url)`: a module that is started, not imported. */
const started = /new URL\(`\.\/([\w/-]+)\$\{extname\(import\.meta\.url\)\}`/g;
const entries = [
  ...['cli/main.js', 'index.js'],
  ...compiled.flatMap((path) =>
    [...readFileSync(join(dist, path), 'utf8').matchAll(started)].map(([, name]) =>
      posix.join(dirname(path), `${name}.js`),
    ),
  ),
];

/** Stands for the URL that a module had before it was put into another file: assets lie beside where it was. */
const place = (path) => `__PLACE_OF__(${JSON.stringify(path)})`;
const keepPlaces = {
  name: 'keep-places',
  transform: (code, path) =>
    code.includes('import.meta.url')
      ? code.replaceAll('import.meta.url', place(relative(dist, path)))
      : undefined,
  renderChunk: (code, { fileName }) =>
    code.replaceAll(/__PLACE_OF__\("([^"]+)"\)/g, (_, path) => {
      const from = posix.relative(dirname(fileName), path);
      return `new URL(${JSON.stringify(from)}, import.meta.url).href`;
    }),
};

const bundle = await rolldown({
  input: Object.fromEntries(entries.map((path) => [path.replace(/\.js$/, ''), join(dist, path)])),
  // Packages stay as they are installed.
  external: (id) => !/^[./]/.test(id),
  platform: 'node',
  plugins: [keepPlaces],
});
const { output } = await bundle.write({
  dir: dist,
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
});
await bundle.close();

const written = new Set(output.map(({ fileName }) => fileName));
for (const path of compiled) if (!written.has(path)) rmSync(join(dist, path));
