import { createHash } from 'node:crypto';
import type { AuthorityStatement, BundleStatement } from '#custody/log/statement.ts';
import type { AuthoritiesReply } from '#identity/issuer/launcher-link.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import { oneAtATime } from './one-at-a-time.ts';

/** States what the trust domain's keys have become since it looked last. */
export interface TrustStatements {
  look(): void;
}

type Key = AuthoritiesReply['authorities'][number];

function statementOf(
  { id, use, fingerprint, certificate, ...key }: Key,
  state: string,
): AuthorityStatement {
  return {
    kind: 'authority',
    authority: id,
    use,
    state,
    nbf: key.not_before,
    exp: key.not_after,
    fingerprint,
    certificate,
  };
}

export function createTrustStatements(options: {
  readonly issuer: Pick<IssuerLink, 'administer'>;
  readonly state: (statement: AuthorityStatement | BundleStatement) => void;
}): TrustStatements {
  const { issuer, state } = options;
  let known = new Map<string, Key>();
  let published: string | undefined;

  const look = oneAtATime(async () => {
    const keys = await issuer.administer((link) => link.authorities());
    const bundle = await issuer.administer((link) => link.bundleDocument());
    if (!keys.ok || !bundle.ok) return;
    const found = new Map(keys.value.authorities.map((key) => [`${key.use} ${key.id}`, key]));
    for (const [name, key] of found) {
      if (known.get(name)?.state !== key.state) state(statementOf(key, key.state));
    }
    for (const [name, key] of known) if (!found.has(name)) state(statementOf(key, 'gone'));
    known = found;
    const { trustDomain, document } = bundle.value;
    const digest = createHash('sha256').update(document).digest('base64url');
    if (digest === published) return;
    published = digest;
    state({ kind: 'bundle', domain: trustDomain, sequence: sequenceOf(document), digest });
  });

  return { look: () => look.run() };
}

/** `spiffe_sequence` of a bundle document of our own issuer. */
function sequenceOf(document: string): number {
  const { spiffe_sequence: sequence } = JSON.parse(document) as { spiffe_sequence?: unknown };
  return typeof sequence === 'number' ? sequence : 0;
}
