/**
 * Import it before whatever brings zod: to find out whether it may evaluate text, zod tries, and
 * the content security policy reports that in every visitor's console.
 */
import { config } from 'zod/v4/core';

config({ jitless: true });
