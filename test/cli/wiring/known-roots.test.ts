import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { knownRoots } from '#cli/wiring/known-roots.ts';
import type { StatementEntry } from '#custody/ledger/entry.ts';
import { signStatement } from '#custody/log/statement.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { bundleSet, createTestCa, type TestCa } from '#test/support/test-ca.ts';

const attester = noteSigner('city.example/attester');

test('records are judged by the roots of now and by those that were stated before, and by no others', async () => {
  const [now, before, rogue, foreign] = await Promise.all([
    createTestCa('city.example', 'Now'),
    createTestCa('city.example', 'Before'),
    createTestCa('city.example', 'Rogue'),
    createTestCa('other.example'),
  ]);
  const entries: StatementEntry[] = [];
  const state = (ca: TestCa, by = attester, status = 'gone'): void => {
    const der = ca.bundle.authorities[0]?.raw ?? Buffer.alloc(0);
    const note = signStatement(
      {
        kind: 'authority',
        authority: 'a',
        use: 'x509',
        state: status,
        nbf: 1,
        exp: 2,
        fingerprint: createHash('sha256').update(der).digest('base64url'),
        certificate: der.toString('base64'),
      },
      [by],
    );
    entries.push({ type: 'statement', index: entries.length, at: 1, note });
  };
  const roots = knownRoots({
    source: { bundles: () => bundleSet(now) },
    ledger: { statements: () => entries },
    attester: attester.verifier,
    clock: Date.now,
  });
  const names = () =>
    [...roots()].flatMap(([domain, { authorities }]) => [
      domain,
      ...authorities.map(({ subject }) => subject.split('\n')[0]),
    ]);
  expect(names()).toEqual(['city.example', 'O=Now']);
  state(before);
  state(rogue, noteSigner('city.example/attester', 'note', 'stranger'));
  state(foreign);
  expect(names()).toEqual(['city.example', 'O=Now', 'O=Before']);
  state(before, attester, 'revoked');
  expect(names()).toEqual(['city.example', 'O=Now']);
});
