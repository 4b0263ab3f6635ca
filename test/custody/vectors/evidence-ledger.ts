import { X509Certificate } from 'node:crypto';
import { decodeBase64Url } from '#custody/base64url.ts';
import {
  type EvidenceHeader,
  formatEvidence,
  formatEvidenceLine,
} from '#custody/evidence/format.ts';
import { type EvidenceSource, evidenceParts } from '#custody/evidence/write.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import {
  addCosignature,
  cosign,
  formatCheckpoint,
  signCheckpoint,
} from '#custody/log/checkpoint.ts';
import type { NoteSigner } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { type Statement, signStatement } from '#custody/log/statement.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId } from '#custody/record.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { logSigner, noteSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import type { VectorKeys, VectorMessage } from './format.ts';
import { REQUEST } from './good.ts';
import type { createSender } from './sender.ts';

export const attester = noteSigner('city.example/attester');

export interface Signers {
  readonly log?: NoteSigner;
  readonly by?: readonly NoteSigner[];
}

/** A ledger out of fixed keys; its entries and heads are what the case says. */
export function createVectorLedger(keys: VectorKeys, sender: ReturnType<typeof createSender>) {
  const tree = createMerkleTree(createMemoryHashStore());
  const entries: LedgerEntry[] = [];
  const checkpoints: string[] = [];
  const chains = new Map<string, readonly Uint8Array[]>();
  const place = () => ({ index: tree.size(), at: keys.time });

  function take(entry: LedgerEntry): void {
    entries.push(entry);
    tree.append(leafText(leafOf(entry)));
  }

  function carried(by: string, { headers, payload }: VectorMessage) {
    const [, [jws = ''] = []] = headers[0] ?? [];
    const [, [salt = ''] = []] = headers[1] ?? [];
    const record = parseRecord(jws);
    if (!record.ok) throw new Error(record.code);
    const chain = keys.identities[by]?.chain.map((der) => Buffer.from(der, 'base64'));
    if (chain !== undefined) chains.set(record.value.thumbprint, chain);
    return {
      by: record.value.claims.iss,
      record: record.value,
      salt: decodeBase64Url(salt) ?? new Uint8Array(),
      payload: Buffer.from(payload, 'base64'),
      chain: undefined,
    };
  }

  function enter(by: string, message: VectorMessage): RecordId {
    const made = carried(by, message);
    take({ type: 'record', ...place(), ...made });
    return made.record.id;
  }

  const read = (): RecordId => enter('sensor', sender.message());
  const find = (reading: RecordId): RecordId =>
    enter(
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
  const act = (finding: RecordId, more: typeof REQUEST.claims = {}): RecordId =>
    enter(
      'action',
      sender.message({ ...REQUEST, claims: { ...REQUEST.claims, par: [finding], ...more } }),
    );

  function certificateOf(name: string) {
    const { id = '', chain = [] } = keys.identities[name] ?? {};
    const leaf = new X509Certificate(Buffer.from(chain[0] ?? '', 'base64'));
    const thumbprint = Buffer.from(leaf.fingerprint256.replaceAll(':', ''), 'hex');
    return { id: spiffeId(id), leaf, thumbprint: thumbprint.toString('base64url') };
  }

  function stateNote(note: string): void {
    take({ type: 'statement', ...place(), note });
  }
  const state = (statement: Statement, signer = attester) =>
    stateNote(signStatement(statement, [signer]));

  return {
    tree,
    entries,
    checkpoints,
    read,
    find,
    act,
    enter,
    carried,
    take,
    place,
    state,
    stateNote,
    certificateOf,
    /** A reading, what was found in it, and what was done about that: the id of the last. */
    story: (): RecordId => act(find(read())),
    issued(name: string, signer = attester): void {
      const { id, leaf, thumbprint } = certificateOf(name);
      const seconds = (text: string) => Date.parse(text) / 1000;
      const serial = leaf.serialNumber.toLowerCase();
      const [nbf, exp] = [seconds(leaf.validFrom), seconds(leaf.validTo)];
      const selectors = ['unix:uid:1000'];
      state({ kind: 'issuance', id, thumbprint, serial, nbf, exp, selectors }, signer);
    },
    /** The tree as it is now, signed and cosigned; `root`: in its place. */
    head({ log = logSigner, by = witnessSigners.slice(0, 2) }: Signers = {}, root = tree.root()) {
      const head = { origin: ORIGIN, size: tree.size(), root };
      const text = formatCheckpoint(head);
      const time = keys.time / 1000 + 1 + checkpoints.length;
      const note = by.reduce(
        (sum, signer) => addCosignature(sum, cosign(text, signer, time)),
        signCheckpoint(head, log),
      );
      checkpoints.push(note);
      return note;
    },
    parts: (header: Partial<EvidenceHeader>, more: Partial<EvidenceSource> = {}) => [
      ...evidenceParts({
        header: { origin: ORIGIN, ...header },
        entries,
        tree,
        checkpoints,
        chainOf: (thumbprint) => chains.get(thumbprint),
        ...more,
      }),
    ],
    /** Everything, as a range. */
    get range() {
      return { range: { from: 0, to: tree.size() } };
    },
  };
}
export type VectorLedger = ReturnType<typeof createVectorLedger>;

export const documentOf = formatEvidence;
export const linesOf = (parts: Parameters<typeof formatEvidence>[0]) =>
  parts.map(formatEvidenceLine).join('');
