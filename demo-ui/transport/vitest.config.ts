import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['tests/real/**'],
    testTimeout: 15_000,
    // Two cores are shared with whatever else runs.
    maxWorkers: 2,
  },
});
