import {
  type EvidenceHeader,
  formatEvidence,
  formatEvidenceLine,
} from '#custody/evidence/format.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import type { EvidenceVerdict } from '#custody/evidence/verdict.ts';
import { type EvidenceSource, type ExportedEntry, evidenceParts } from '#custody/evidence/write.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import { addCosignature, cosign, type LogPolicy, signCheckpoint } from '#custody/log/checkpoint.ts';
import type { NoteSigner } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import { createStory, createTestLedger, submission } from '../ledger/support.ts';
import { logSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import { type TestSwarm, text } from '../support.ts';

export const policy: LogPolicy = {
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: witnessSigners.map(({ verifier }) => verifier),
  quorum: 2,
};

export function trustOf(swarm: TestSwarm, more: Partial<Trust> = {}): Trust {
  const [root] = swarm.ca.bundle.authorities;
  if (root === undefined) throw new Error('no root');
  return {
    roots: [{ trustDomain: swarm.ca.trustDomain, certificate: root.raw }],
    log: policy,
    ...more,
  };
}

/** A ledger with its tree; checkpoints are signed and witnessed when the test says so. */
export function createEvidenceLedger(swarm: TestSwarm) {
  const { ledger } = createTestLedger(swarm);
  const tree = createMerkleTree(createMemoryHashStore());
  const entries: ExportedEntry[] = [];
  const checkpoints: string[] = [];
  /** Of certificates that the ledger has not seen. */
  const chains = new Map<string, readonly Uint8Array[]>();

  function take(entry: ExportedEntry): void {
    tree.append(leafText(entry.type === 'statement' ? entry : leafOf(entry)));
    entries.push(entry);
  }

  async function submit(record: SignedRecord, payload: string | undefined): Promise<void> {
    const receipt = await ledger.submit(submission(record, payload));
    if (!receipt.ok) throw new Error(`${receipt.code}: ${receipt.detail}`);
    const [entry] = ledger.list({ since: receipt.value.index });
    // Statements are not the ledger's own yet: entries count in the tree's order here.
    if (entry !== undefined) take({ ...entry, index: tree.size() });
  }

  /** What a ledger that keeps none of its rules would enter. */
  function enter(
    signed: SignedRecord,
    payload: string | undefined,
    kind:
      | { readonly type: 'record' }
      | { readonly type: 'equivocation'; readonly other: RecordId } = {
      type: 'record',
    },
  ): void {
    const record = parseRecord(signed.jws);
    if (!record.ok) throw new Error(record.detail);
    chains.set(record.value.thumbprint, signed.chain);
    const opened = { salt: signed.salt, payload: payload === undefined ? payload : text(payload) };
    const by = signed.claims.iss;
    const carried = { by, record: record.value, ...opened, chain: undefined };
    take({ ...kind, index: tree.size(), at: swarm.clock(), ...carried });
  }

  function state(note: string): void {
    take({ type: 'statement', index: tree.size(), at: swarm.clock(), note });
  }

  /** Now, or at `time` in seconds; by the first two witnesses unless others are given. */
  function witness(
    options: { time?: number; by?: readonly NoteSigner[]; log?: NoteSigner } = {},
  ): string {
    const time = options.time ?? Math.floor(swarm.clock() / 1000);
    const size = tree.size();
    const checkpoint = { origin: ORIGIN, size, root: tree.root() };
    const signed = signCheckpoint(checkpoint, options.log ?? logSigner);
    const text = signed.slice(0, signed.indexOf('\n\n') + 1);
    const note = (options.by ?? witnessSigners.slice(0, 2)).reduce(
      (sum, signer) => addCosignature(sum, cosign(text, signer, time)),
      signed,
    );
    checkpoints.push(note);
    return note;
  }

  /** Unless it says what it is about: the whole ledger. */
  const aboutOf = (header: Partial<EvidenceHeader>): Partial<EvidenceHeader> =>
    header.action === undefined && header.range === undefined
      ? { ...header, range: { from: 0, to: tree.size() } }
      : header;
  const source = (header: Partial<EvidenceHeader>, more: Partial<EvidenceSource> = {}) => ({
    header: { origin: ORIGIN, ...aboutOf(header) },
    entries: [...entries],
    tree,
    checkpoints: [...checkpoints],
    chainOf: (thumbprint: string) => ledger.chain(thumbprint) ?? chains.get(thumbprint),
    ...more,
  });
  const parts = (header: Partial<EvidenceHeader>, more: Partial<EvidenceSource> = {}) => [
    ...evidenceParts(source(header, more)),
  ];

  return {
    ledger,
    tree,
    entries,
    checkpoints,
    submit,
    enter,
    state,
    take,
    witness,
    parts,
    file: (header: Partial<EvidenceHeader> = {}, more: Partial<EvidenceSource> = {}) =>
      formatEvidence(parts(header, more)),
    lines: (header: Partial<EvidenceHeader> = {}, more: Partial<EvidenceSource> = {}) =>
      parts(header, more).map(formatEvidenceLine).join(''),
  };
}
export type EvidenceLedger = ReturnType<typeof createEvidenceLedger>;

/** reading → finding → act, one second apart, witnessed a second after. */
export async function createCase(swarm: TestSwarm) {
  const story = createStory(swarm);
  const made = createEvidenceLedger(swarm);
  const read = story.read();
  await made.submit(read, 'reading');
  swarm.clock.advance(1000);
  const finding = story.finding([read.id]);
  await made.submit(finding, 'finding');
  swarm.clock.advance(1000);
  const act = story.act([finding.id]);
  await made.submit(act, 'act');
  swarm.clock.advance(1000);
  return { ...made, story, read, finding, act };
}

export const codes = ({ faults }: EvidenceVerdict) => faults.map(({ code }) => code);
export const hops = ({ ancestry }: EvidenceVerdict) =>
  ancestry?.hops.map(({ verdict, code }) => (code ? `${verdict} ${code}` : verdict));
export const bytesOf = (text: string): Buffer => Buffer.from(text, 'utf8');
export type { RecordId };
