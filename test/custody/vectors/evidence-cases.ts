import { encodeBase64Url } from '#custody/base64url.ts';
import type { EvidencePart } from '#custody/evidence/format.ts';
import { formatNote } from '#custody/log/note.ts';
import { type Rollover, signRollover } from '#custody/log/rollover.ts';
import { logSigner, noteSigner, ORIGIN, witnessSigners } from '../log/support.ts';
import {
  attester,
  createVectorLedger,
  documentOf,
  linesOf,
  type Signers,
  type VectorLedger,
} from './evidence-ledger.ts';
import type { VectorKeys } from './format.ts';
import { SECOND } from './good.ts';
import { createSender, fixed } from './sender.ts';

const AGENTS = ['sensor', 'analyzer', 'action'] as const;
const hex = (name: string) => fixed(name, 32).toString('hex');

const [w1 = logSigner, w2 = logSigner, w3 = logSigner] = witnessSigners;
const newLog = noteSigner(ORIGIN, 'note', 'second');
const newWitness = noteSigner('city.example/w4', 'cosignature');
/** The log gets another key, and w4 takes the place of w1. */
export const rollover: Rollover = {
  from: 4,
  policy: {
    origin: ORIGIN,
    log: [newLog.verifier],
    witnesses: [w2, w3, newWitness].map(({ verifier }) => verifier),
    quorum: 2,
  },
};
const CURRENT: Signers = { log: newLog, by: [w3, newWitness] };
const RETIRED: Signers = { log: logSigner, by: [w1, w2] };

/** Evidence files by name; what each must be judged as stands in judgements.json. */
export function evidenceCases(keys: VectorKeys, sender = createSender(keys)): Map<string, string> {
  const files = new Map<string, string>();
  const ledger = () => createVectorLedger(keys, sender);
  const seconds = keys.time / 1000;
  const change = signRollover(rollover, [logSigner, w1, w2, newLog, newWitness], seconds);

  const document = (name: string, parts: readonly EvidencePart[]) =>
    files.set(`${name}.json`, documentOf(parts));
  const lines = (name: string, parts: readonly EvidencePart[]) =>
    files.set(`${name}.jsonl`, linesOf(parts));

  // Statements, refusals and records, three heads one after the other.
  {
    const made = ledger();
    for (const name of AGENTS) made.issued(name);
    const { id, thumbprint } = made.certificateOf('sensor');
    made.state({
      kind: 'attestation',
      id,
      image: 'agent/sensor:1',
      digest: `sha256:${hex('image')}`,
      key: 'ci',
      type: 'unix',
      instance: 'cam-1',
      from: seconds,
    });
    const [revision, digest, data] = [hex('revision'), hex('rules'), hex('grants')];
    made.state({ kind: 'policy', revision, digest, data, from: seconds });
    const bundle = encodeBase64Url(fixed('bundle', 32));
    made.state({ kind: 'bundle', domain: 'city.example', sequence: 1, digest: bundle });
    const later = `custody-statement/v1\nweather\n{"sky":"clear"}\n`;
    made.stateNote(formatNote({ text: later, signatures: [attester.sign(later)] }));
    made.head();
    const reading = made.read();
    made.take({
      type: 'refusal',
      ...made.place(),
      refusal: {
        type: 'refusal',
        code: 'RECORD_EXPIRED',
        presented_by: 'sensor-cam-2',
        subject: 'north.reading.sensor-cam-2',
        count: 3,
      },
    });
    made.head();
    const action = made.act(made.find(reading));
    made.state({ kind: 'revocation', thumbprint, reason: 'replaced' });
    made.head();
    document('stated', made.parts({ action }));
    const whole = made.parts(made.range);
    lines('range', whole);
    lines(
      'range-gap',
      whole.filter((part) => part.kind !== 'entry' || part.entry.leaf.index !== 8),
    );
    const to = 8;
    lines(
      'range-short',
      made.parts({ range: { from: 0, to } }, { entries: made.entries.slice(0, to) }),
    );
    const heads = whole.filter((part) => part.kind === 'checkpoint');
    const [first, second] = heads;
    lines(
      'heads-unsorted',
      whole.map((part) =>
        part === first && second ? second : part === second && first ? first : part,
      ),
    );
    lines(
      'heads-unrelated',
      whole.map((part) =>
        part === second && second.kind === 'checkpoint'
          ? { ...second, checkpoint: { ...second.checkpoint, consistency: [fixed('no node', 32)] } }
          : part,
      ),
    );
    lines('of-nothing', made.parts({}));
    lines('origin', made.parts({ ...made.range, origin: 'city.example/other' }));
  }

  // Certificates that were not issued, or not any more.
  {
    const made = ledger();
    for (const name of AGENTS) made.issued(name);
    const { thumbprint } = made.certificateOf('sensor');
    made.state({ kind: 'revocation', thumbprint, reason: 'stolen' });
    const action = made.story();
    made.head();
    document('revoked', made.parts({ action }));
  }
  {
    const made = ledger();
    for (const name of AGENTS) made.issued(name, noteSigner('city.example/stranger'));
    const action = made.story();
    made.head();
    document('stated-by-stranger', made.parts({ action }));
  }

  // Heads that are not what they should be.
  const alone = (name: string, head: (made: VectorLedger) => void) => {
    const made = ledger();
    const action = made.story();
    head(made);
    document(name, made.parts({ action }));
  };
  alone('quorum-missing', (made) => void made.head({ by: [w1] }));
  alone('root-wrong', (made) => void made.head({}, fixed('another root', 32)));
  alone('log-stranger', (made) => void made.head({ log: noteSigner(ORIGIN, 'note', 'thief') }));
  alone('signature-wrong', (made) => {
    const altered = made
      .head()
      .split('\n')
      .map((line) => {
        const [dash, name, signature = ''] = line.split(' ');
        if (name !== ORIGIN || signature === '') return line;
        const bytes = Buffer.from(signature, 'base64');
        bytes[10] = (bytes[10] ?? 0) ^ 1;
        return [dash, name, bytes.toString('base64')].join(' ');
      });
    made.checkpoints.splice(0, 1, altered.join('\n'));
  });
  {
    // Two histories, each cosigned: what a log and a quorum of dishonest witnesses can do.
    const [one, other] = [ledger(), ledger()];
    const reading = one.read();
    other.issued('sensor');
    one.head();
    other.head();
    const action = one.act(one.find(reading));
    one.head();
    other.story();
    const parts = one.parts({ action });
    const [lie = ''] = other.checkpoints;
    const forked = parts.map((part, at) =>
      at === parts.findIndex(({ kind }) => kind === 'checkpoint') && part.kind === 'checkpoint'
        ? { ...part, checkpoint: { ...part.checkpoint, note: lie } }
        : part,
    );
    document('forked', forked);
  }

  // Records that stand where they must not.
  {
    const made = ledger();
    const reading = made.read();
    made.find(reading);
    made.read();
    made.head();
    lines('record-twice', made.parts(made.range));
    const entries = made.entries.slice(0, 2);
    const parts = made.parts({ action: reading }, { entries });
    const last = parts.at(-1);
    const swapped = [...parts.slice(0, -1)];
    swapped.splice(
      parts.findIndex(({ kind }) => kind === 'entry'),
      0,
      ...(last ? [last] : []),
    );
    document('entries-unsorted', swapped);
  }
  {
    const made = ledger();
    const other = made.read();
    const second = made.carried(
      'sensor',
      sender.message({ claims: { jti: encodeBase64Url(fixed('another')) } }),
    );
    made.take({ type: 'equivocation', ...made.place(), ...second, other });
    made.head();
    document('equivocation', made.parts({ action: other }));
  }
  {
    const made = ledger();
    const finding = made.find(made.read());
    const first = made.act(finding);
    const again = { ...SECOND.claims, prv: first, jti: encodeBase64Url(fixed('again')) };
    made.act(finding, again);
    made.head();
    lines('acts-two', made.parts(made.range));
  }

  // Keys that change.
  const rolled = (name: string, then: Signers, { entered = true, shown = true } = {}) => {
    const made = ledger();
    const finding = made.find(made.read());
    made.issued('sensor');
    made.head();
    if (entered) made.stateNote(change);
    made.act(finding);
    made.head(then);
    lines(name, made.parts(made.range, { rollovers: shown ? [change] : [] }));
  };
  rolled('rolled', CURRENT);
  rolled('rolled-unshown', CURRENT, { shown: false });
  rolled('rolled-unlogged', CURRENT, { entered: false });
  rolled('rolled-retired', RETIRED);
  rolled('rolled-concealed', RETIRED, { entered: false, shown: false });
  return files;
}
