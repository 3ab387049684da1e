import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Finds a font for PNG pictures. The two that are used stand beside the compiled file; the package
 * that they come from, six times as large as both, is needed to build only.
 *
 * @throws Error when it is not there
 */
export function fontFile(name: 'DejaVuSans' | 'DejaVuSans-Bold'): string {
  const built = fileURLToPath(new URL(`./fonts/${name}.ttf`, import.meta.url));
  if (existsSync(built)) return built;
  return createRequire(import.meta.url).resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`);
}
