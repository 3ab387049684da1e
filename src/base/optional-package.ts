import { existsSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from './errors.ts';
import { manifest } from './version.ts';

/** The packages that are not installed with Wayward: most people need none of them. */
export type OptionalPackage = 'onnxruntime-node' | 'h5wasm';

/** Of this installation: holds package.json. */
const ownRoot = dirname(fileURLToPath(new URL('..', import.meta.url)));

/**
 * Makes sure that an optional package is there before work starts that needs it.
 *
 * @param what  what needs it: `a network`
 * @param root  folder of the installation
 * @throws UserError `package-missing`, which says how to add it
 */
export function requirePackage(name: OptionalPackage, what: string, root: string = ownRoot): void {
  if (isInstalled(name, root)) return;
  throw new UserError(
    'package-missing',
    `${what} needs ${name}, which does not come with Wayward; add it with: ${additionOf(name, root)}`,
    { category: 'unavailable' },
  );
}

/** @returns the command that puts an optional package where this installation finds it */
export function additionOf(name: OptionalPackage, root: string = ownRoot): string {
  const version = manifest.peerDependencies[name];
  // Without its install script: that of onnxruntime-node downloads CUDA from outside the registry.
  return `npm install ${placeFor(root)} --ignore-scripts "${name}@${version}"`;
}

/** @returns npm's words for the place in which a package of `root` is looked for */
function placeFor(root: string): string {
  if (!root.endsWith(join(sep, 'node_modules', 'wayward'))) return `--prefix "${root}"`;
  const above = dirname(dirname(root));
  // A folder of global packages has no package.json beside its node_modules.
  return existsSync(join(above, 'package.json')) ? `--prefix "${above}"` : '--global';
}

/** Looks where imports of this installation are looked for. */
export function isInstalled(name: OptionalPackage, root: string = ownRoot): boolean {
  const folders = root.split(sep).map((_, index, parts) => parts.slice(0, index + 1).join(sep));
  return folders.some((folder) => existsSync(`${folder}/node_modules/${name}/package.json`));
}
