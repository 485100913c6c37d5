import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/real/**'],
    // They wait for conditions: a limit finds what never comes.
    testTimeout: 120_000,
    hookTimeout: 60_000,
    // Two cores are shared with whatever else runs.
    maxWorkers: 2,
  },
});
