import { z } from 'zod';

/** What the runner tells the attack's process: which scenario, and what the foothold holds. */
export type ToAttack =
  | {
      readonly type: 'begin';
      readonly scenario: string;
      readonly holds: /** Where the implant will report. */
        | { readonly kind: 'code in an agent'; readonly socket: string }
        /** The feed to whose end rows may be added. */
        | { readonly kind: 'text in a reading'; readonly feed: string };
    }
  | { readonly type: 'control'; readonly at: string }
  | { readonly type: 'attack' };

/**
 * What it says: steps that are done, and when the first malicious byte left. Nothing of what came of
 * it. `at`: nanoseconds of the machine's monotonic clock, which the runner reads too.
 */
export const fromAttackSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('listening') }),
  z.strictObject({ type: z.literal('holding') }),
  z.strictObject({ type: z.literal('struck'), at: z.string().regex(/^\d{1,20}$/) }),
  z.strictObject({ type: z.literal('done'), what: z.enum(['control', 'attack']) }),
  z.strictObject({ type: z.literal('failed'), detail: z.string().max(500) }),
]);
export type FromAttack = z.infer<typeof fromAttackSchema>;
