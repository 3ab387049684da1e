/** The keywords of JSON Schema (2020-12) that our schemas use. */
export interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  /** Of every field that `properties` does not name; false: there may be none. */
  readonly additionalProperties?: Schema | false;
}

const known = new Set([
  ...['$schema', '$id', '$ref', '$defs', 'title', 'description', 'type', 'const', 'enum'],
  ...['minimum', 'properties', 'required', 'items', 'additionalProperties'],
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
    for (const [key, field] of Object.entries(value)) {
      const each = schema.properties?.[key] ?? schema.additionalProperties;
      if (each === false) found.push(`${path}.${key} is not known`);
      else if (each !== undefined) found.push(...violations(root, field, each, `${path}.${key}`));
    }
  }
  return found;
}

/** @returns where a value has a field that the schema does not name; fields of maps excepted */
export function undescribed(
  root: Schema,
  value: unknown,
  schema: Schema = root,
  path: string = '$',
): string[] {
  const target = schema.$ref?.replace('#/$defs/', '');
  const own = target === undefined ? schema : (root.$defs?.[target] ?? {});
  if (Array.isArray(value)) {
    const { items } = own;
    if (items === undefined) return value.length === 0 ? [] : [`${path}[]`];
    return value.flatMap((item, i) => undescribed(root, item, items, `${path}[${i}]`));
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const field = own.properties?.[key] ?? own.additionalProperties;
    return field === undefined || field === false
      ? [`${path}.${key}`]
      : undescribed(root, item, field, `${path}.${key}`);
  });
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
