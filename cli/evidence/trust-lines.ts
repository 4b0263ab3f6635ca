import { X509Certificate } from 'node:crypto';
import { inert } from '#agents/text.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import type { LogPolicy } from '#custody/log/checkpoint.ts';

const MAX_MEMBERS = 12;

/** A trust file as people compare it, over the telephone if need be. */
export function trustLines({ roots, log, issuance, members }: Trust): readonly string[] {
  return [
    ...roots.flatMap(({ trustDomain, certificate }) => {
      const { fingerprint256, validTo } = new X509Certificate(certificate);
      const [first, second] = [fingerprint256.slice(0, 48), fingerprint256.slice(48)];
      return [`root of ${trustDomain}, until ${validTo}`, `  ${first}`, `  ${second}`];
    }),
    `ledger ${log.origin}`,
    ...keyLines(log),
    ...(log.changes ?? []).flatMap(({ from, policy }) => [
      `from ${from} entries on instead`,
      ...keyLines(policy),
    ]),
    ...(issuance === undefined
      ? []
      : [
          'attester, who states what was issued to whom',
          ...issuance.keys.map(({ vkey }) => `  ${vkey}`),
          ...(issuance.bootstrap.length > 0 ? ['issued before there was a ledger'] : []),
          ...issuance.bootstrap.map((id) => `  ${inert(id, 200)}`),
        ]),
    ...(members === undefined ? [] : [`members: ${members.length}`]),
    ...(members ?? []).slice(0, MAX_MEMBERS).map((id) => `  ${inert(id, 200)}`),
    ...((members ?? []).length > MAX_MEMBERS ? ['  …'] : []),
  ];
}

function keyLines({ log, witnesses, quorum }: LogPolicy): readonly string[] {
  return [
    ...log.map(({ vkey }) => `  ${vkey}`),
    `witnesses, of which ${quorum} must agree`,
    ...witnesses.map(({ vkey }) => `  ${vkey}`),
  ];
}
