import { describe, expect, test } from 'vitest';
import type { AddressSpace } from '../../../image/address-space.ts';
import { identityOf } from '../../profile/image-identities.ts';
import { differencesOf } from './differences.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const idOf = (text: string): string => identityOf(bytesOf(text));

/** @param files  content of the files that are mapped, by name; `undefined` where they are not at hand */
function spaceOf(
  files: Readonly<Record<string, string | undefined>>,
): Pick<AddressSpace, 'modules' | 'sections'> {
  const modules = Object.keys(files).map((name, i) => ({
    path: `/x/${name}`,
    name,
    base: i << 20,
  }));
  const sections = Object.values(files).flatMap((content, module) => {
    if (content === undefined) return [];
    const bytes = bytesOf(content);
    const { base: start } = modules[module];
    const image = { kind: 'raw', bytes };
    const end = start + bytes.length;
    return [{ start, end, bytes, module, isExecutable: true, image, imageOffset: 0 }];
  });
  return { modules, sections };
}

const setup = {
  path: 'reader.wayward',
  programs: ['reader'],
  images: [
    { name: 'reader', id: idOf('reader 1') },
    { name: 'libz.so.1', id: idOf('zlib 1') },
  ],
};

describe('how what runs differs from what was learned', () => {
  test('not at all, where all is the same, or its files are not at hand', () => {
    const nothing = { otherProgram: undefined, otherBuilds: undefined };
    const same = spaceOf({ reader: 'reader 1', 'libz.so.1': 'zlib 1', 'libnew.so': 'new' });
    expect(differencesOf(setup, '/bin/reader', same)).toEqual(nothing);
    const unknown = spaceOf({ reader: undefined, 'libz.so.1': undefined });
    expect(differencesOf(setup, '/bin/reader', unknown)).toEqual(nothing);
  });

  test('in its program, told with both names', () => {
    const space = spaceOf({ writer: 'writer 1', 'libz.so.1': 'zlib 1' });
    const { otherProgram, otherBuilds } = differencesOf(setup, '/bin/writer', space);
    expect(otherProgram).toContain('reader.wayward is the profile of reader, and this is writer');
    expect(otherBuilds).toBeUndefined();
  });

  test('in the builds of its files, each named', () => {
    const space = spaceOf({ reader: 'reader 1', 'libz.so.1': 'zlib 2' });
    const { otherProgram, otherBuilds } = differencesOf(setup, '/bin/reader', space);
    expect(otherProgram).toBeUndefined();
    expect(otherBuilds).toMatch(/^1 of 2 images are other builds .*: libz\.so\.1;/);
  });
});
