/** What a layer of a model file says of itself; nothing of it is checked yet. */
export type Config = Readonly<Record<string, unknown>>;

export interface LayerJson {
  readonly class_name?: unknown;
  readonly config?: Config;
}
