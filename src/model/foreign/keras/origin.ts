import { isRecord } from '../../../base/values.ts';
import type { LayerJson } from './json.ts';

/**
 * Who wrote a model file, as far as it tells: that decides which classes its network knows.
 *
 * - `wayward`: ours, which names the vocabulary that the network was trained with.
 * - `keras`: Keras itself, which writes how each layer was initialized. The ancestor's networks know
 *   classes by `BBID mod N`.
 * - `unknown`: neither, as files of Wayward 0.1.0, whose vocabulary is nowhere.
 */
export type KerasOrigin =
  | { readonly kind: 'wayward'; readonly vocabulary: VocabularyMark }
  | { readonly kind: 'keras' }
  | { readonly kind: 'unknown' };

/** Which vocabulary a model file belongs to; the vocabulary itself lies with the weights. */
export interface VocabularyMark {
  readonly kind: 'learned' | 'hash';
  readonly fingerprint: string;
}

/** Keras' `model_from_json` reads `class_name` and `config` and passes over other keys. */
export const markKey = 'wayward';

export function originOf(
  json: Readonly<Record<string, unknown>>,
  layers: readonly LayerJson[],
): KerasOrigin {
  const mark = json[markKey];
  if (isRecord(mark) && isRecord(mark.vocabulary)) {
    const { kind, fingerprint } = mark.vocabulary;
    if ((kind === 'learned' || kind === 'hash') && typeof fingerprint === 'string') {
      return { kind: 'wayward', vocabulary: { kind, fingerprint } };
    }
  }
  const isOfKeras = layers.some(({ config }) => config?.embeddings_initializer !== undefined);
  return { kind: isOfKeras ? 'keras' : 'unknown' };
}
