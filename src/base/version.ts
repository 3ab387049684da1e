import { readFileSync } from 'node:fs';

/** What of package.json is asked for at run time. */
interface Manifest {
  readonly version: string;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

// Ours, and shipped with every build.
export const manifest: Manifest = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as Manifest;

/** This release, as package.json has it. */
export const version: string = manifest.version;
