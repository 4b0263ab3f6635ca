import { createHash } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatTrust, parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { createNoteSigner, type KeyUse, privateKeyFromSeed } from '#custody/log/keys.ts';
import { formatNote } from '#custody/log/note.ts';
import { openStatement, type Statement, signStatement } from '#custody/log/statement.ts';
import { createStory } from '../ledger/support.ts';
import { logSigner, noteSigner } from '../log/support.ts';
import { createTestSwarm, IDS, type Name, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, createEvidenceLedger, hops, trustOf } from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
const START = Math.floor(Date.now() / 1000) * 1000;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(START) });
  trust = trustOf(swarm);
});
beforeEach(() => swarm.clock.advance(START - swarm.clock()));
const judge = (text: string, by = trust) => verifyEvidence(bytesOf(text), by);

/** Another key than any that is pinned here, under whatever name. */
const vkeyOf = (name: string, use: KeyUse = 'note', seed = 'a stranger'): string => {
  const key = privateKeyFromSeed(createHash('sha256').update(seed).digest());
  return createNoteSigner({ name, use, key }).verifier.vkey;
};
/** From which `noteSigner` makes the first issuer's key. */
const ISSUER = 'city.example/issuer note ';
const issuers = [noteSigner('city.example/issuer'), noteSigner('city.example/launcher')];
const issuance = {
  keys: issuers.map(({ verifier }) => verifier),
  required: 2,
  bootstrap: [],
};

describe('the trust file', () => {
  it('is read as it is written, and shows fingerprints to compare', () => {
    const full = {
      ...trust,
      issuance: { ...issuance, bootstrap: [IDS.mcp] },
      members: [IDS.action],
    };
    const [root] = trust.roots;
    if (root === undefined) return;
    const bounded = { ...full, roots: [{ ...root, from: 5, until: 9 }] };
    const { changes: _, ...policy } = trust.log;
    const changes = [
      { from: 7, policy: { ...policy, quorum: 1 } },
      { from: 9, policy },
    ];
    const changed = { ...trust, log: { ...policy, changes } };
    for (const one of [trust, full, bounded, changed]) {
      const text = formatTrust(one);
      const parsed = parseTrust(text);
      expect(parsed.ok && formatTrust(parsed.value)).toBe(text);
      expect(parsed.ok && parsed.value.roots).toEqual(one.roots);
      const pinned = parsed.ok ? parsed.value.log.changes?.map(({ from }) => from) : [];
      expect(pinned).toEqual(one.log.changes?.map(({ from }) => from));
    }
    expect(formatTrust(trust)).toContain(swarm.ca.bundle.authorities[0]?.fingerprint256);
  });

  const changed = (change: (json: Record<string, never>) => void): string => {
    const json = JSON.parse(formatTrust({ ...trust, issuance }));
    change(json);
    return JSON.stringify(json);
  };
  type Json = { v: number; roots: Record<string, unknown>[]; log: Record<string, unknown> } & {
    issuance: Record<string, unknown>;
  };
  const issuedBy = ({ issuance }: Json, ...keys: readonly string[]) =>
    Object.assign(issuance, { required: 1, keys });
  const change = ({ log: { origin: _, ...keys }, log }: Json, ...sizes: readonly number[]) =>
    Object.assign(log, { changes: sizes.map((from) => ({ from, ...keys })) });
  it.each<[string, (json: Json) => void]>([
    ['another version', (json) => Object.assign(json, { v: 2 })],
    ['a member that is not known', (json) => Object.assign(json, { x: 1 })],
    ['no root', (json) => json.roots.splice(0)],
    [
      'a root that is no certificate',
      (json) => Object.assign(json.roots[0] ?? {}, { certificate: 'AAAA' }),
    ],
    [
      'a fingerprint of another',
      (json) => Object.assign(json.roots[0] ?? {}, { fingerprint: 'AA:BB' }),
    ],
    ['no key of the log', (json) => Object.assign(json.log, { keys: [] })],
    ['a change of keys from the beginning on', (json) => change(json, 0)],
    ['changes of keys that do not ascend', (json) => change(json, 5, 5)],
    ['a change to no keys', (json) => Object.assign(json.log, { changes: [{ from: 5 }] })],
    ['a quorum of none', (json) => Object.assign(json.log, { quorum: 0 })],
    ['a quorum of more than there are', (json) => Object.assign(json.log, { quorum: 4 })],
    [
      'a witness twice',
      (json) =>
        Object.assign(json.log, { witnesses: [json.log.witnesses, json.log.witnesses].flat() }),
    ],
    [
      'a log key as witness',
      (json) => Object.assign(json.log, { witnesses: json.log.keys, quorum: 1 }),
    ],
    [
      'a key with another id',
      (json) =>
        Object.assign(json.log, { keys: [`${logSigner.verifier.vkey}`.replace('+', '+0')] }),
    ],
    [
      'more issuers required than there are',
      (json) => Object.assign(json.issuance, { required: 3 }),
    ],
    ['one issuer under two names', (json) => issuedBy(json, vkeyOf('one'), vkeyOf('another'))],
    ['one issuer twice', (json) => issuedBy(json, vkeyOf('one'), vkeyOf('one'))],
    ['an issuer for cosignatures', (json) => issuedBy(json, vkeyOf('one', 'cosignature'))],
    [
      'an issuer with the key of the log, under another name',
      (json) => Object.assign(json.log, { keys: [vkeyOf('log', 'note', ISSUER)] }),
    ],
    [
      'an issuer with the key of a witness',
      (json) =>
        Object.assign(json.log, { witnesses: [vkeyOf('w', 'cosignature', ISSUER)], quorum: 1 }),
    ],
    [
      'an issuer with a key that the log changes to',
      (json) => {
        const { origin: _, ...keys } = json.log;
        const next = { ...keys, keys: [vkeyOf('next', 'note', ISSUER)], from: 5 };
        return Object.assign(json.log, { changes: [next] });
      },
    ],
    ['a member that is no SPIFFE ID', (json) => Object.assign(json, { members: ['x'] })],
  ])('with %s is refused', (_name, change) => {
    expect(parseTrust(changed(change as never))).toMatchObject({ code: 'TRUST_INVALID' });
    expect(parseTrust(changed(() => {}))).toMatchObject({ ok: true });
  });

  it.each([
    [2, [vkeyOf('one'), vkeyOf('one', 'note', 'another')]],
    [1, [vkeyOf('one')]],
  ])('may name %i issuers that have each a key of its own', (required, keys) => {
    const by = changed((json: object) =>
      Object.assign((json as Json).issuance, { required, keys }),
    );
    expect(parseTrust(by)).toMatchObject({ ok: true });
  });

  it('with a member twice is refused: people and programs would read another one of the two', () => {
    const text = formatTrust({ ...trust, issuance });
    expect(text).toContain('"quorum": 2');
    const quorum = (both: string) => text.replace('"quorum": 2', both);
    for (const [twice, first] of [
      [quorum('"quorum": 2, "quorum": 1'), quorum('"quorum": 1')],
      [quorum('"quorum": 1, "quorum": 2'), quorum('"quorum": 1')],
      [quorum('"quorum": 2, "\\u0071uorum": 1'), quorum('"\\u0071uorum": 1')],
      [text.replace('"required": 2', '"required":2,"required":1'), text],
      [text.replace('{', '{"log":{},'), text],
    ] as const) {
      expect(parseTrust(twice)).toMatchObject({
        code: 'TRUST_INVALID',
        detail: expect.stringContaining('twice'),
      });
      expect(parseTrust(first)).toMatchObject({ ok: true });
    }
  });

  it('that is no JSON, or too large, is refused', () => {
    expect(parseTrust('{')).toMatchObject({ code: 'TRUST_INVALID' });
    expect(parseTrust(`"${'x'.repeat(1 << 20)}"`)).toMatchObject({ code: 'TRUST_INVALID' });
  });
});

describe('certificates that the ledger shows as issued', () => {
  const issued = (name: Name, more: Partial<Statement> = {}): Statement => {
    const { id, thumbprint, serial } = swarm.svid(name);
    const statement = {
      kind: 'issuance' as const,
      id,
      thumbprint,
      serial,
      nbf: 1,
      exp: 2,
      selectors: ['unix:uid:1'],
    };
    return { ...statement, ...more } as Statement;
  };
  const say = (statement: Statement, signers = issuers) => signStatement(statement, signers);
  const all: readonly Name[] = ['sensor', 'analyzer', 'action'];

  async function story(before: readonly string[], after: readonly string[] = []) {
    const made = createEvidenceLedger(swarm);
    for (const note of before) made.state(note);
    const read = createStory(swarm).read();
    await made.submit(read, 'reading');
    for (const note of after) made.state(note);
    made.witness();
    return judge(made.file({ action: read.id }), { ...trust, issuance });
  }

  it('are genuine when both issuers entered them before their first record', async () => {
    expect(await story(all.map((name) => say(issued(name))))).toMatchObject({
      overall: 'proven',
      beside: { statement: 3 },
    });
  });

  it.each<[string, () => [readonly string[], readonly string[]], string]>([
    ['never entered', () => [[say(issued('action'))], []], 'EVIDENCE_ISSUANCE_MISSING'],
    ['entered only after', () => [[], [say(issued('sensor'))]], 'EVIDENCE_ISSUANCE_MISSING'],
    [
      'entered for another identity',
      () => [[say(issued('sensor', { id: IDS.mcp }))], []],
      'EVIDENCE_ISSUANCE_MISSING',
    ],
    [
      'entered by one of two issuers',
      () => [[say(issued('sensor'), issuers.slice(0, 1))], []],
      'NOTE_UNSIGNED',
    ],
    [
      'revoked before',
      () => {
        const { thumbprint } = swarm.svid('sensor');
        return [
          [say(issued('sensor')), say({ kind: 'revocation', thumbprint, reason: 'stolen' })],
          [],
        ];
      },
      'RECORD_SVID_REVOKED',
    ],
  ])('are not when %s', async (_name, notes, code) => {
    const verdict = await story(...notes());
    expect(verdict.overall).not.toBe('proven');
    expect(codes(verdict)).toContain(code);
  });

  it('stand when revoked after, and need no entry when pinned as bootstrap or not asked for', async () => {
    const { thumbprint } = swarm.svid('sensor');
    const revoked = say({ kind: 'revocation', thumbprint, reason: 'stolen' });
    expect((await story([say(issued('sensor'))], [revoked])).overall).toBe('proven');
    const made = await createCase(swarm);
    made.witness();
    const text = made.file({ action: made.act.id });
    expect(judge(text).overall).toBe('proven');
    expect(hops(judge(text, { ...trust, issuance }))).toEqual(
      Array(3).fill('unverifiable EVIDENCE_ISSUANCE_MISSING'),
    );
    const bootstrap = { ...trust, issuance: { ...issuance, bootstrap: Object.values(IDS) } };
    expect(judge(text, bootstrap).overall).toBe('proven');
  });

  it('may stand beside statements of kinds that are not known, and nothing that is none', async () => {
    const made = createEvidenceLedger(swarm);
    const text = 'custody-statement/v1\nweather\n{"digest":"x"}\n';
    const [signer] = issuers;
    if (signer === undefined) return;
    made.state(formatNote({ text, signatures: [signer.sign(text)] }));
    made.witness();
    expect(judge(made.file())).toMatchObject({ overall: 'proven', beside: { statement: 1 } });
    const none = createEvidenceLedger(swarm);
    none.state('a note of nothing');
    none.witness();
    expect(codes(judge(none.file()))).toEqual(['NOTE_MALFORMED']);
  });

  it('may stand beside statements of the rules in force, if who is pinned made them', async () => {
    const [digest, data] = ['a'.repeat(64), 'b'.repeat(64)];
    const policy = { kind: 'policy', revision: 'r', digest, data, from: 1 } as const;
    for (const [signers, found] of [
      [issuers, []],
      [[noteSigner('stranger')], ['NOTE_UNSIGNED']],
    ] as const) {
      const made = createEvidenceLedger(swarm);
      made.state(signStatement(policy, signers));
      made.witness();
      expect(codes(judge(made.file(), { ...trust, issuance }))).toEqual(found);
    }
  });

  it('are stated in one form only', () => {
    const note = say(issued('sensor'));
    expect(openStatement(note, issuance.keys, 2)).toEqual({ ok: true, value: issued('sensor') });
    for (const altered of [
      note.replace('/v1', '/v2'),
      note.replace('\nissuance\n', '\nrevocation\n'),
      note.replace('"exp":2', '"exp": 2'),
      note.replace('"exp":2', '"exp":0'),
      note.replace('"exp":2,', ''),
    ]) {
      expect(openStatement(altered, issuance.keys, 2)).toMatchObject({
        code: 'STATEMENT_MALFORMED',
      });
    }
    expect(openStatement(note.replace('"exp":2', '"exp":3'), issuance.keys, 2)).toMatchObject({
      code: 'NOTE_SIGNATURE_INVALID',
    });
  });
});
