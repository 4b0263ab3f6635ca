import { type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Statement } from '../log/statement.ts';
import type { IssuanceTrust } from './trust.ts';
import type { FaultCode } from './verdict.ts';

/** What of a record is compared with the statements. */
export interface IssuedRecord {
  readonly iss: SpiffeId;
  readonly thumbprint: string;
  readonly index: number;
}

export interface Issuances {
  add(statement: Statement, index: number): void;
  /** Was the certificate issued before, and not revoked? Asked when the whole file is read. */
  judge(record: IssuedRecord): Outcome<void, FaultCode> | undefined;
}

/** Which certificates the ledger shows as issued and revoked, and since which entry. */
export function createIssuances(trust: IssuanceTrust | undefined): Issuances {
  const issued = new Map<string, { readonly id: SpiffeId; readonly index: number }>();
  const revoked = new Map<string, number>();
  const bootstrap = new Set(trust?.bootstrap);

  return {
    add(statement, index) {
      // Without pinned keys nobody's word counts: openStatement has asked for none.
      if (trust === undefined) return;
      if (statement.kind === 'revocation') {
        const { thumbprint } = statement;
        if (!revoked.has(thumbprint)) revoked.set(thumbprint, index);
      } else if (statement.kind === 'issuance') {
        const { thumbprint, id } = statement;
        if (!issued.has(thumbprint)) issued.set(thumbprint, { id, index });
      }
    },
    judge({ iss, thumbprint, index }) {
      if (trust === undefined) return undefined;
      const since = revoked.get(thumbprint);
      if (since !== undefined && since < index) {
        return refuse('RECORD_SVID_REVOKED', `entry ${since} revoked the certificate before`);
      }
      if (bootstrap.has(iss)) return undefined;
      const issuance = issued.get(thumbprint);
      if (issuance?.id === iss && issuance.index < index) return undefined;
      const detail = issuance === undefined ? 'never' : 'only later, or for another identity,';
      return refuse('EVIDENCE_ISSUANCE_MISSING', `the certificate was ${detail} entered as issued`);
    },
  };
}
