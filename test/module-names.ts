import { registerHooks } from 'node:module';

const fileOf = (path: string): string => new URL(path, import.meta.url).href;
/** What a name stands for in tests, where that is not what is installed. */
const names = new Map([['wayward', fileOf('../src/index.ts')]]);
const otherSeeds = fileOf('other-seeds.ts');
if (process.env.WAYWARD_TIMES !== undefined) names.set('fast-check', otherSeeds);

registerHooks({
  resolve(name, context, next) {
    const url = context.parentURL === otherSeeds ? undefined : names.get(name);
    return url === undefined ? next(name, context) : { url, shortCircuit: true };
  },
});
