/** The keywords of JSON Schema (2020-12) that our schemas use. */
interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

const known = new Set([
  ...['$schema', '$id', '$ref', '$defs', 'title', 'description', 'type', 'const', 'enum'],
  ...['minimum', 'properties', 'required', 'items'],
]);

/** @returns what a value breaks of a schema, each with its path. @throws Error for unknown keywords */
export function violations(
  root: Schema,
  value: unknown,
  schema: Schema = root,
  path: string = '$',
): string[] {
  for (const keyword of Object.keys(schema)) {
    if (!known.has(keyword)) throw new Error(`keyword ${keyword} is not checked here`);
  }
  if (schema.$ref !== undefined) {
    const target = root.$defs?.[schema.$ref.replace('#/$defs/', '')];
    if (target === undefined) throw new Error(`${schema.$ref} leads nowhere`);
    return violations(root, value, target, path);
  }
  const found: string[] = [];
  const types = schema.type === undefined ? undefined : [schema.type].flat();
  if (types !== undefined && !types.some((type) => isOf(type, value))) {
    return [`${path} is no ${types.join(' or ')}`];
  }
  if ('const' in schema && value !== schema.const) found.push(`${path} is not ${schema.const}`);
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    found.push(`${path} is none of ${schema.enum.join(', ')}`);
  }
  if (schema.minimum !== undefined && (value as number) < schema.minimum) {
    found.push(`${path} is below ${schema.minimum}`);
  }
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema;
    found.push(...value.flatMap((item, i) => violations(root, item, items, `${path}[${i}]`)));
  } else if (typeof value === 'object' && value !== null) {
    for (const key of schema.required ?? []) {
      if (!(key in value)) found.push(`${path}.${key} is missing`);
    }
    for (const [key, each] of Object.entries(schema.properties ?? {})) {
      const field = (value as Record<string, unknown>)[key];
      if (field !== undefined) found.push(...violations(root, field, each, `${path}.${key}`));
    }
  }
  return found;
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object')
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  const kind: string = typeof value;
  return kind === type;
}
