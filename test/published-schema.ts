import { readFileSync } from 'node:fs';
import type { Schema } from './json-schema.ts';

/**
 * Reads a schema of `docs/schemas`, with the definitions of others that it refers to.
 *
 * @param name  such as `judge`
 */
export function publishedSchema(name: string): Schema {
  const path = new URL(`../docs/schemas/${name}.schema.json`, import.meta.url);
  const text = readFileSync(path, 'utf8');
  const others = [...text.matchAll(/"([\w-]+)\.schema\.json#\/\$defs\//g)].map(
    (match) => match[1]!,
  );
  const own = JSON.parse(
    text.replaceAll(/"[\w-]+\.schema\.json#\/\$defs\//g, '"#/$defs/'),
  ) as Schema;
  const defs = others.map((other) => publishedSchema(other).$defs);
  return { ...own, $defs: Object.assign({}, ...defs, own.$defs) };
}
