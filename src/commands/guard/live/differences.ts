import { basename } from 'node:path';
import type { AddressSpace, Section } from '../../../image/address-space.ts';
import type { Image } from '../../../image/files/image.ts';
import { identityOf } from '../../profile/image-identities.ts';
import type { OpenedSetup } from './open-setup.ts';

/** Modules that are named; the others are counted. */
const named = 5;

/** How what runs differs from what its profile was learned from. Both make alarms that are none. */
export interface Differences {
  /** In words, for people. */
  readonly otherProgram: string | undefined;
  readonly otherBuilds: string | undefined;
}

/**
 * @param program  path of what runs, or the name of its file, for messages
 * @param space  what is mapped: the program itself, if nothing else
 */
export function differencesOf(
  { path, programs, images }: Pick<OpenedSetup, 'path' | 'programs' | 'images'>,
  program: string,
  { modules, sections }: Pick<AddressSpace, 'modules' | 'sections'>,
): Differences {
  const learned = new Map(images.map(({ name, id }) => [name, id]));
  const changed = new Set<string>();
  const seen = new Set<object>();
  for (const { module, image } of sections) {
    const id = module < 0 || seen.has(image) ? undefined : learned.get(modules[module].name);
    seen.add(image);
    if (id !== undefined && isFile(image) && identityOf(image.bytes) !== id) {
      changed.add(modules[module].name);
    }
  }
  const isOther = programs.length > 0 && !modules.some(({ name }) => programs.includes(name));
  return {
    otherProgram: isOther
      ? `${path} is the profile of ${programs.join(', ')}, and this is ${basename(program)}: an alarm may say no more than that`
      : undefined,
    otherBuilds: changed.size > 0 ? tellBuilds([...changed], images.length) : undefined,
  };
}

function tellBuilds(changed: readonly string[], learned: number): string {
  const more = changed.length > named ? ', ...' : '';
  return `${changed.length} of ${learned} images are other builds than those that were learned: ${changed.slice(0, named).join(', ')}${more}; what is new in them is suspicious: record and learn again where it is much`;
}

function isFile(image: Section['image']): image is Image {
  return 'kind' in image && 'bytes' in image;
}
