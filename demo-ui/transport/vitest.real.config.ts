import { defineConfig } from 'vitest/config';

/** Against a real gateway: `npm run test:gateway`. */
export default defineConfig({
  test: {
    include: ['tests/real/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
  },
});
