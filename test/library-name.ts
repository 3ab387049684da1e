import { registerHooks } from 'node:module';

// Examples name the library as those who installed it do; here that is its source.
registerHooks({
  resolve: (name, context, next) =>
    name === 'wayward'
      ? { url: new URL('../src/index.ts', import.meta.url).href, shortCircuit: true }
      : next(name, context),
});
