import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/temporary-folder.ts', 'test/compile-cache.ts'],
    setupFiles: 'test/module-names.ts',
    pool: 'forks',
    // To start a process for each file and to load the sources anew in it took as long as a third of all tests. So
    // files share processes, and a test undoes what it changes of its process.
    isolate: false,
    // Node itself loads the sources, as it does for users; loops run at the speed that they have there.
    experimental: { viteModuleRunner: false },
    // By itself it leaves one core out, which is half of a small machine.
    maxWorkers: availableParallelism(),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    coverage: { include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    tags: [
      {
        name: 'slow',
        description: 'compiles, records, starts servers or browsers, or goes through much data',
      },
    ],
  },
});
