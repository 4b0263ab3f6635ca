import { BATCH } from './bad-batch.ts';
import { CANONICAL, CLAIMS } from './bad-claims.ts';
import { FORM, HEADERS, WIRE } from './bad-form.ts';
import { PROOF } from './bad-proof.ts';
import type { BadCase } from './case.ts';

/** Everything that must be refused. */
export const BAD: readonly BadCase[] = [
  ...WIRE,
  ...FORM,
  ...HEADERS,
  ...CANONICAL,
  ...CLAIMS,
  ...PROOF,
  ...BATCH,
];
