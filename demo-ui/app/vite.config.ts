import tailwindcss from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const gateway = process.env.MIDSTREAM_URL ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [react(), tailwindcss()],
  server: { proxy: { '/api': gateway } },
  build: {
    // The gateway serves this folder, and the wheel contains it.
    outDir: '../../gateway/demo',
    emptyOutDir: true,
    target: 'es2022',
    // The content security policy allows no data: scripts or styles.
    assetsInlineLimit: 0,
    // React and the AI SDK; a test holds their size over the wire (tests/e2e/test_demo.py).
    chunkSizeWarningLimit: 700,
  },
});
