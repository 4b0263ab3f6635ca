import type { Certificate, Standing } from '../log/standing.ts';
import { openStatement } from '../log/statement.ts';

/**
 * What the ledger's own entries say about certificates, for good: a record may reach the ledger long
 * after its certificate's end. Derived from the entries alone, whose notes were verified before.
 */
export interface EnteredCertificates {
  add(note: string): void;
  judge(certificate: Certificate): Standing;
}

export function createEnteredCertificates(): EnteredCertificates {
  const issued = new Map<string, string>();
  const revoked = new Set<string>();
  return {
    add(note) {
      // A change of keys is no statement; kinds that this version does not read say nothing here.
      const opened = openStatement(note, [], 0);
      if (!opened.ok) return;
      const statement = opened.value;
      if (statement.kind === 'revocation') revoked.add(statement.thumbprint);
      // The first word counts: a certificate has one identity.
      if (statement.kind === 'issuance' && !issued.has(statement.thumbprint)) {
        issued.set(statement.thumbprint, statement.id);
      }
    },
    judge({ id, thumbprint }) {
      if (revoked.has(thumbprint)) return 'revoked';
      return issued.get(thumbprint) === id ? 'standing' : 'unknown';
    },
  };
}
