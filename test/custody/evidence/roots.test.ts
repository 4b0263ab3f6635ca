import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { selectStatements } from '#custody/evidence/statements.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { type Issuance, type Statement, signStatement } from '#custody/log/statement.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { createTestCa, type TestCa } from '#test/support/test-ca.ts';
import { createStory } from '../ledger/support.ts';
import { createTestSwarm, type Name, type TestSwarm, TRUST_DOMAIN } from '../support.ts';
import { bytesOf, codes, createEvidenceLedger, hops, trustOf } from './support.ts';

/**
 * The reader pinned the trust domain's root of one day; the evidence is of another day, under a root
 * that came after it.
 */
const attester = noteSigner('city.example/attester');
const stranger = noteSigner('city.example/attester', 'note', 'stranger');
const rootOf = ({ bundle }: TestCa): Buffer => {
  const [root] = bundle.authorities;
  if (root === undefined) throw new Error('no root');
  return root.raw;
};

let pinned: TestCa;
let swarm: TestSwarm;
let trust: Trust;
beforeAll(async () => {
  pinned = await createTestCa(TRUST_DOMAIN, 'Yesterday');
  swarm = await createTestSwarm();
  const issuance = { keys: [attester.verifier], required: 1, bootstrap: [] };
  const roots = [{ trustDomain: TRUST_DOMAIN, certificate: rootOf(pinned) }];
  trust = trustOf(swarm, { issuance, roots });
});

function authority(ca: TestCa, more: Partial<Extract<Statement, { kind: 'authority' }>> = {}) {
  const der = rootOf(ca);
  return {
    kind: 'authority' as const,
    authority: 'a',
    use: 'x509' as const,
    state: 'active',
    nbf: 1,
    exp: 4_000_000_000,
    fingerprint: createHash('sha256').update(der).digest('base64url'),
    certificate: der.toString('base64'),
    ...more,
  };
}

function issuance(name: Name): Issuance {
  const { id, thumbprint, serial, notBefore, notAfter } = swarm.svid(name);
  const [nbf, exp] = [notBefore, notAfter].map((at) => Math.floor(at.getTime() / 1000));
  return { kind: 'issuance', id, thumbprint, serial, nbf: nbf ?? 0, exp: exp ?? 0, selectors: [] };
}

/** What is stated before, then a reading with what came of it. */
async function evidence(before: readonly string[], between: readonly string[] = []) {
  const ledger = createEvidenceLedger(swarm);
  for (const note of before) ledger.state(note);
  for (const name of ['sensor', 'analyzer', 'action'] as const) {
    ledger.state(signStatement(issuance(name), [attester]));
  }
  const story = createStory(swarm);
  const read = story.read();
  await ledger.submit(read, 'reading');
  for (const note of between) ledger.state(note);
  const finding = story.finding([read.id]);
  await ledger.submit(finding, 'finding');
  ledger.witness();
  return { ...ledger, action: finding.id };
}
const judged = async (
  before: readonly string[],
  { between = [] as readonly string[], by = trust } = {},
) => {
  const { file, action } = await evidence(before, between);
  return verifyEvidence(bytesOf(file({ action })), by);
};
const stated = (statement: Statement, by = attester) => signStatement(statement, [by]);

describe('a root that came after the pinned one', () => {
  test('is believed when the attester stated it in the ledger', async () => {
    const verdict = await judged([stated(authority(swarm.ca))]);
    expect([verdict.overall, verdict.faults]).toEqual(['proven', []]);
    expect(hops(verdict)).toEqual(['genuine', 'genuine']);
  });

  test('also where the statement says that it has left the bundle', async () => {
    const verdict = await judged([stated(authority(swarm.ca, { state: 'gone' }))]);
    expect(verdict.overall).toBe('proven');
  });

  test('unstated leaves open who signed: nothing is forged by that', async () => {
    const verdict = await judged([]);
    expect(verdict.overall).toBe('unverifiable');
    expect(new Set(codes(verdict))).toEqual(new Set(['RECORD_CHAIN_UNVERIFIED']));
  });

  test('by a stranger is not believed, and is a forgery in the file', async () => {
    const verdict = await judged([stated(authority(swarm.ca), stranger)]);
    expect(verdict.overall).toBe('forged');
    expect(codes(verdict)).toContain('NOTE_UNSIGNED');
    expect(hops(verdict)?.[0]).toBe('unverifiable RECORD_CHAIN_UNVERIFIED');
  });

  test('is not believed by who pinned no attester', async () => {
    const { issuance: _none, ...by } = trust;
    expect((await judged([stated(authority(swarm.ca))], { by })).overall).not.toBe('proven');
  });

  test('of another trust domain than the pinned ones is nobody here', async () => {
    const other = await createTestCa('other.example');
    const roots = [{ trustDomain: 'other.example', certificate: rootOf(other) }];
    const verdict = await judged([stated(authority(swarm.ca))], { by: { ...trust, roots } });
    expect(hops(verdict)?.[0]).toBe('unverifiable RECORD_CHAIN_UNVERIFIED');
  });

  test('given up is none for what the ledger takes after that, and stays one for what is before', async () => {
    const revoked = stated(authority(swarm.ca, { state: 'revoked' }));
    const verdict = await judged([stated(authority(swarm.ca))], { between: [revoked] });
    expect(verdict.overall).toBe('unverifiable');
    expect(hops(verdict)).toEqual(['unverifiable RECORD_CHAIN_UNVERIFIED', 'genuine']);
    const again = [revoked, stated(authority(swarm.ca))];
    expect((await judged(again)).overall).toBe('unverifiable');
  });

  test('given up also when it is pinned', async () => {
    const roots = [{ trustDomain: TRUST_DOMAIN, certificate: rootOf(swarm.ca) }];
    const by = { ...trust, roots };
    expect((await judged([], { by })).overall).toBe('proven');
    const tainted = stated(authority(swarm.ca, { state: 'tainted' }));
    expect((await judged([tainted], { by })).overall).toBe('unverifiable');
  });
});

test('of the authorities those go along with a record that were valid when it was made', async () => {
  const now = Math.floor(swarm.clock() / 1000);
  const spans = { earlier: [1, now - 60], now: [now - 60, now + 60], later: [now + 60, now + 90] };
  const notes = Object.entries(spans).map(([name, [nbf = 0, exp = 0]]) =>
    stated(authority(swarm.ca, { authority: name, nbf, exp, state: 'gone' })),
  );
  const { entries } = await evidence(notes);
  const records = entries.filter((entry) => entry.type === 'record');
  const chosen = selectStatements(entries, records).map(({ note }) => note);
  expect(notes.map((note) => chosen.includes(note))).toEqual([false, true, false]);
});
