import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { pathOf, type SpiffeId } from '#identity/spiffe-id.ts';
import { parseAck } from '../ack.ts';
import type { LedgerCode } from '../codes.ts';
import type { RecordClaims } from '../record.ts';
import type { EvidenceEntry } from './format.ts';

/** What the ledger asks of a single record before it takes it, asked again of what it took. */
export interface LedgerRules {
  judge(claims: RecordClaims, opened: EvidenceEntry['opened']): Outcome<void, LedgerCode>;
}

const PASSED = accept(undefined);

/**
 * A reader need not trust the ledger to have kept its own rules. Who may make which kind is a matter
 * of roles: where members are pinned their IDs name them, and without pins nobody is accused.
 */
export function createLedgerRules(members: readonly SpiffeId[] | undefined): LedgerRules {
  return {
    judge(claims, opened) {
      const { iss, knd } = claims;
      if (members !== undefined && !mayMake(iss, knd)) {
        return refuse('RECORD_KIND_NOT_ALLOWED', `${iss} may not make ${knd} records`);
      }
      if (knd !== 'ack' || opened === undefined) return PASSED;
      const ack = parseAck(opened.payload);
      return ack.ok ? PASSED : refuse('LEDGER_PAYLOAD_INVALID', ack.detail);
    },
  };
}

/** A chain begins where something enters the swarm, at a sensor; certificates are revoked by statements. */
function mayMake(sender: SpiffeId, kind: RecordClaims['knd']): boolean {
  return kind !== 'revoke' && (kind !== 'root' || roleOf(sender) === 'sensor');
}

/** `/agent/<role>/<district>/<name>`; of a service its name. */
function roleOf(id: SpiffeId): string | undefined {
  return pathOf(id).split('/')[2];
}
