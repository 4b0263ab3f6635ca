import { createStatedRoots } from '#custody/evidence/stated-roots.ts';
import { bundlesAt } from '#custody/evidence/trust.ts';
import type { LedgerQueries } from '#custody/ledger/queries.ts';
import type { VerifierKey } from '#custody/log/keys.ts';
import { type AuthorityStatement, openStatement } from '#custody/log/statement.ts';
import type { BundleSet, X509Source } from '#identity/svid.ts';

/**
 * The roots under which records of any age are judged: those of the bundle now, and all that the
 * attester has ever stated in this ledger. Doors take the bundle alone.
 */
export function knownRoots(options: {
  readonly source: Pick<X509Source, 'bundles'>;
  readonly ledger: Pick<LedgerQueries, 'statements'>;
  readonly attester: VerifierKey;
  /** Milliseconds. */
  readonly clock: () => number;
}): () => BundleSet {
  const { source, ledger, attester, clock } = options;
  const authorities: AuthorityStatement[] = [];
  let read = 0;
  return () => {
    const all = ledger.statements();
    for (const { note } of all.slice(read)) {
      const statement = openStatement(note, [attester], 1);
      if (statement.ok && statement.value.kind === 'authority') authorities.push(statement.value);
    }
    read = all.length;
    const roots = createStatedRoots(
      [...source.bundles().values()].flatMap(({ trustDomain, authorities: live }) =>
        live.map(({ raw }) => ({ trustDomain, certificate: new Uint8Array(raw) })),
      ),
    );
    for (const authority of authorities) roots.take(authority);
    return bundlesAt(roots.all(), clock() / 1000);
  };
}
