import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The folder that holds the package: sources, swarms, policy. */
export const CHECKOUT = resolve(import.meta.dirname, '..', '..');

export const VERSION: string = (
  JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }
).version;
