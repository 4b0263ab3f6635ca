import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalText } from '#custody/canonical.ts';
import { createNoteSigner, privateKeyFromSeed } from '#custody/log/keys.ts';
import { formatNote } from '#custody/log/note.ts';
import {
  openStatement,
  type Statement,
  type StatementKind,
  signStatement,
  statementKind,
} from '#custody/log/statement.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { noteSigner } from './support.ts';

const attester = noteSigner('city.example/attester');
const digest = createHash('sha256').update('x').digest();
const hex = digest.toString('hex');
const thumbprint = digest.toString('base64url');
const id = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');

const STATEMENTS: { readonly [K in StatementKind]: Extract<Statement, { kind: K }> } = {
  issuance: {
    kind: 'issuance',
    id,
    thumbprint,
    serial: '0a1b',
    nbf: 1,
    exp: 2,
    selectors: ['swarm:instance:sensor-cam-1', 'unix:uid:1000'],
  },
  revocation: { kind: 'revocation', thumbprint, reason: 'its registration entry was removed' },
  attestation: {
    kind: 'attestation',
    id,
    image: 'sensor',
    digest: `sha256:${hex}`,
    key: '',
    type: 'sensor',
    instance: 'sensor-cam-1',
    from: 3,
  },
  authority: {
    kind: 'authority',
    authority: 'abc',
    use: 'x509',
    state: 'prepared',
    nbf: 1,
    exp: 2,
    fingerprint: thumbprint,
    certificate: Buffer.from('x').toString('base64'),
  },
  policy: { kind: 'policy', revision: hex, digest: hex, data: hex, from: 3 },
  bundle: { kind: 'bundle', domain: 'city.example', sequence: 4, digest: thumbprint },
};
const KINDS = Object.keys(STATEMENTS) as StatementKind[];

/** Signed by the right key, whatever it says. */
function signed(kind: string, claims: Record<string, unknown>): string {
  const text = `custody-statement/v1\n${kind}\n${canonicalText(claims as never)}\n`;
  return formatNote({ text, signatures: [attester.sign(text)] });
}
const open = (note: string) => openStatement(note, [attester.verifier], 1);

describe.each(KINDS)('a statement of kind %s', (kind) => {
  const { kind: _kind, ...claims } = STATEMENTS[kind];

  test('is read as it was written', () => {
    const note = signStatement(STATEMENTS[kind], [attester]);
    expect(open(note)).toEqual({ ok: true, value: STATEMENTS[kind] });
    expect(statementKind(note)).toBe(kind);
    expect(note.split('\n')[1]).toBe(kind);
  });

  test('is malformed without one of its claims, with one more, and with one of another form', () => {
    expect(open(signed(kind, claims)).ok).toBe(true);
    for (const name of Object.keys(claims)) {
      const { [name]: _gone, ...rest } = claims as Record<string, unknown>;
      expect(open(signed(kind, rest))).toMatchObject({ code: 'STATEMENT_MALFORMED' });
      for (const odd of [-1, 'a\nb', [], {}, ['a\nb'], 'x'.repeat(300)]) {
        expect(open(signed(kind, { ...claims, [name]: odd })).ok).toBe(
          name === 'selectors' && Array.isArray(odd) && odd.length === 0,
        );
      }
    }
    const more = { ...claims, more: 'x' };
    expect(open(signed(kind, more))).toMatchObject({ code: 'STATEMENT_MALFORMED' });
  });

  test('does not count for the kind beside it, nor by another key', () => {
    const [other = 'bundle'] = KINDS.filter((one) => one !== kind);
    expect(open(signed(other, claims))).toMatchObject({ code: 'STATEMENT_MALFORMED' });
    const thief = noteSigner('city.example/attester', 'note', 'thief');
    expect(open(signStatement(STATEMENTS[kind], [thief]))).toMatchObject({ code: 'NOTE_UNSIGNED' });
  });
});

test('any character that is changed, dropped or doubled makes it a statement of nobody', () => {
  const note = signStatement(STATEMENTS.issuance, [attester]);
  for (let at = 0; at < note.length; at += 1) {
    const [before, here, after] = [note.slice(0, at), note[at] ?? '', note.slice(at + 1)];
    for (const other of [
      '',
      `${here}${here}`,
      here === 'A' ? 'B' : 'A',
      '\n',
      '\u0000',
      '\ud800',
    ]) {
      if (other === here) continue;
      expect([at, other, open(`${before}${other}${after}`).ok]).toEqual([at, other, false]);
    }
  }
});

test('no text is read with an exception', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
      expect(open(text).ok).toBe(false);
      expect(open(`custody-statement/v1\nissuance\n${text}\n\n— a b\n`).ok).toBe(false);
      expect(statementKind(text)).toBeUndefined();
    }),
  );
});

test('a kind that is not known here is malformed, also one that every object has', () => {
  for (const kind of ['later', 'constructor', 'to-string']) {
    expect(open(signed(kind, {}))).toMatchObject({ code: 'STATEMENT_MALFORMED' });
  }
});

test('an authority is stated with the certificate that its fingerprint names, a JWT authority with none', () => {
  const { kind, ...claims } = STATEMENTS.authority;
  const other = Buffer.from('y').toString('base64');
  for (const certificate of [other, '', 'no base64', 'A'.repeat(5000)]) {
    expect(open(signed(kind, { ...claims, certificate }))).toMatchObject({
      code: 'STATEMENT_MALFORMED',
    });
  }
  expect(open(signed(kind, { ...claims, use: 'jwt' })).ok).toBe(false);
  expect(open(signed(kind, { ...claims, use: 'jwt', certificate: '' })).ok).toBe(true);
});

test('validity ends after it begins', () => {
  const { kind, ...claims } = STATEMENTS.authority;
  expect(open(signed(kind, { ...claims, exp: 0 }))).toMatchObject({ code: 'STATEMENT_MALFORMED' });
});

test('signatures are counted by key: two names of one key are one signer', () => {
  const key = privateKeyFromSeed(createHash('sha256').update('one holder').digest());
  const named = (name: string) => createNoteSigner({ name, use: 'note', key });
  const [first, second, other] = [named('first'), named('second'), noteSigner('other')];
  const keys = [first, second, other].map(({ verifier }) => verifier);
  const note = (...signers: (typeof first)[]) => signStatement(STATEMENTS.policy, signers);
  expect(openStatement(note(first, second), keys, 2)).toMatchObject({ code: 'NOTE_UNSIGNED' });
  expect(openStatement(note(first, second), keys, 1)).toMatchObject({ ok: true });
  expect(openStatement(note(first, other), keys, 2)).toMatchObject({ ok: true });
});

test('a key for cosignatures states nothing', () => {
  const use = (kind: 'note' | 'cosignature') => {
    const signer = noteSigner('w', kind);
    const statement = signStatement(STATEMENTS.policy, [attester]);
    const text = statement.slice(0, statement.indexOf('\n\n') + 1);
    const note = formatNote({ text, signatures: [signer.sign(text, 1)] });
    return openStatement(note, [signer.verifier], 1);
  };
  expect(use('cosignature')).toMatchObject({ code: 'NOTE_UNSIGNED' });
  expect(use('note')).toMatchObject({ ok: true });
});
