/**
 * Keeps zod from testing whether it may use `eval`: the content security policy would report that
 * test in every visitor's console. Import it before any module that imports zod.
 */
import { config } from 'zod/v4/core';

config({ jitless: true });
