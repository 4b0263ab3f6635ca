import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { LedgerOnlyCode } from './codes.ts';
import { audienceIncludes } from './record/audience.ts';
import { SKEW_SECONDS } from './record/check.ts';
import type { RecordClaims } from './record.ts';

/** What of a record decides about its place among causes. */
type Facts = Pick<RecordClaims, 'iss' | 'aud' | 'iat'>;

/**
 * May `child` name `parent` as its cause? It must precede (two clocks, so with skew), and the
 * child's sender must have made it or have been addressed by it: what one was never sent, one
 * cannot have acted upon.
 */
export function checkParent(child: Facts, parent: Facts): Outcome<void, LedgerOnlyCode> {
  if (parent.iat > child.iat + SKEW_SECONDS) {
    return refuse('LEDGER_PARENT_LATER', 'a cause was issued after its effect');
  }
  if (parent.iss !== child.iss && !audienceIncludes(parent.aud, child.iss)) {
    return refuse('LEDGER_PARENT_NOT_RECEIVED', 'a cause was not addressed to the sender');
  }
  return accept(undefined);
}

/**
 * Is `result`, which names `order` among its causes, the answer to it? By somebody to whom the order
 * was addressed, and for its sender: else whoever gave an order could answer it in the service's place.
 */
export function isAnswerTo(
  order: Pick<RecordClaims, 'iss' | 'aud'>,
  result: Pick<RecordClaims, 'iss' | 'aud' | 'knd'>,
): boolean {
  return (
    result.knd === 'tool.result' &&
    result.aud.includes(order.iss) &&
    audienceIncludes(order.aud, result.iss)
  );
}
