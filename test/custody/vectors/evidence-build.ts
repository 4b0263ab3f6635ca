import { formatTrust, type Trust } from '#custody/evidence/trust.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { logSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import { evidenceCases, rollover } from './evidence-cases.ts';
import { attester, createVectorLedger, documentOf, linesOf } from './evidence-ledger.ts';
import type { VectorKeys } from './format.ts';
import { createSender } from './sender.ts';

/** Every evidence and trust file but the tampered ones, by name. Deterministic. */
export function buildEvidence(keys: VectorKeys) {
  const sender = createSender(keys);
  const files = evidenceCases(keys, sender);

  const made = createVectorLedger(keys, sender);
  const action = made.story();
  made.head();
  files.set('proven.json', documentOf(made.parts({ action })));
  files.set('proven.jsonl', linesOf(made.parts({ action })));
  files.set('withheld.json', documentOf(made.parts({ action }, { withhold: () => true })));

  const idOf = (name: string) => spiffeId(keys.identities[name]?.id ?? '');
  const trust: Trust = {
    roots: Object.entries(keys.trust).flatMap(([trustDomain, roots]) =>
      roots.map((root) => ({ trustDomain, certificate: Buffer.from(root, 'base64') })),
    ),
    log: {
      origin: ORIGIN,
      log: [logSigner.verifier],
      witnesses: witnessSigners.map(({ verifier }) => verifier),
      quorum: 2,
    },
  };
  const members = ['sensor', 'analyzer', 'action'].map(idOf);
  const issuance = { keys: [attester.verifier], required: 1, bootstrap: [idOf('mcp')] };
  const trusts: Readonly<Record<string, Trust>> = {
    'trust.json': trust,
    'trust-issued.json': { ...trust, issuance, members },
    'trust-members.json': { ...trust, members: members.slice(0, 2) },
    'trust-rolled.json': { ...trust, log: { ...trust.log, changes: [rollover] } },
  };
  for (const [name, one] of Object.entries(trusts)) files.set(name, formatTrust(one));
  return { files, signatures: sender.signatures };
}
