// Writes evidence/: `node test/custody/vectors/evidence.ts`, from the keys of keys.json. Signatures
// with ECDSA are random, so the files differ each time; what they must be judged as does not.
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { decodeBase64Url } from '#custody/base64url.ts';
import { formatEvidence, formatEvidenceLine } from '#custody/evidence/format.ts';
import { TAMPERINGS, type Tampering, tamper } from '#custody/evidence/tamper.ts';
import { formatTrust } from '#custody/evidence/trust.ts';
import { type ExportedEntry, evidenceParts } from '#custody/evidence/write.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import {
  addCosignature,
  cosign,
  formatCheckpoint,
  signCheckpoint,
} from '#custody/log/checkpoint.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { logSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import type { VectorKeys, VectorMessage } from './format.ts';
import { REQUEST } from './good.ts';
import { createSender } from './sender.ts';

const here = new URL('.', import.meta.url);
const keys = JSON.parse(readFileSync(new URL('keys.json', here), 'utf8')) as VectorKeys;
const sender = createSender(keys);
const chains = new Map<string, readonly Uint8Array[]>();
const tree = createMerkleTree(createMemoryHashStore());
const entries: ExportedEntry[] = [];

function enter(by: string, { headers, payload }: VectorMessage) {
  const [, [jws = ''] = []] = headers[0] ?? [];
  const [, [salt = ''] = []] = headers[1] ?? [];
  const record = parseRecord(jws);
  if (!record.ok) throw new Error(record.code);
  const chain = keys.identities[by]?.chain.map((der) => Buffer.from(der, 'base64'));
  if (chain !== undefined) chains.set(record.value.thumbprint, chain);
  const entry = {
    type: 'record' as const,
    index: tree.size(),
    at: keys.time,
    by: record.value.claims.iss,
    record: record.value,
    salt: decodeBase64Url(salt) ?? new Uint8Array(),
    payload: Buffer.from(payload, 'base64'),
    chain: undefined,
  };
  entries.push(entry);
  tree.append(leafText(leafOf(entry)));
  return record.value.id;
}

const reading = enter('sensor', sender.message());
const finding = enter(
  'analyzer',
  sender.message({
    by: 'analyzer',
    claims: {
      aud: ['spiffe://city.example/agent/action/north/*'],
      sbj: 'north.finding.analyzer-analyzer-1',
      knd: 'msg',
      par: [reading],
    },
    batch: { size: 3, index: 1 },
  }),
);
const action = enter(
  'action',
  sender.message({ ...REQUEST, claims: { ...REQUEST.claims, par: [finding] } }),
);

const head = { origin: ORIGIN, size: tree.size(), root: tree.root() };
const note = witnessSigners
  .slice(0, 2)
  .reduce(
    (sum, signer) =>
      addCosignature(sum, cosign(formatCheckpoint(head), signer, keys.time / 1000 + 1)),
    signCheckpoint(head, logSigner),
  );
const parts = (withhold: boolean) => [
  ...evidenceParts({
    header: { origin: ORIGIN, action },
    entries,
    tree,
    checkpoints: [note],
    chainOf: (thumbprint) => chains.get(thumbprint),
    withhold: () => withhold,
  }),
];
const [[trustDomain = '', [root = ''] = []] = []] = Object.entries(keys.trust);
const trust = formatTrust({
  roots: [{ trustDomain, certificate: Buffer.from(root, 'base64') }],
  log: {
    origin: ORIGIN,
    log: [logSigner.verifier],
    witnesses: witnessSigners.map(({ verifier }) => verifier),
    quorum: 2,
  },
});

const folder = new URL('evidence/', here);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const write = (name: string, text: string) => writeFileSync(new URL(name, folder), text);
write('trust.json', trust);
const proven = formatEvidence(parts(false));
write('proven.json', proven);
write('proven.jsonl', parts(false).map(formatEvidenceLine).join(''));
write('withheld.json', formatEvidence(parts(true)));
const forger = createPrivateKey(keys.identities.impostor?.key ?? '');
for (const how of Object.keys(TAMPERINGS) as Tampering[]) {
  const tampered = tamper(proven, how, forger);
  if (!tampered.ok) throw new Error(tampered.detail);
  write(`${how}.json`, tampered.value);
}
