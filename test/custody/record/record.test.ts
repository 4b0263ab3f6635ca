import { generateKeyPairSync, type X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { audienceIncludes, isAudience } from '#custody/record/audience.ts';
import { checkRecord, type RecordFacts } from '#custody/record/check.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { RecordClaims, RecordId, SignedRecord } from '#custody/record.ts';
import { createSvidCache } from '#custody/svid-cache.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { createTestSwarm, IDS, reading, type TestSwarm, testClock } from '../support.ts';

let swarm: TestSwarm;
beforeAll(async () => {
  swarm = await createTestSwarm();
});

function parsed(record: SignedRecord) {
  const result = parseRecord(record.jws);
  if (!result.ok) throw new Error(result.code);
  return result.value;
}

function verified(name: 'sensor' | 'action', at = new Date()) {
  const svid = swarm.verify(swarm.svid(name).certificates, at);
  if (!svid.ok) throw new Error(svid.code);
  return svid.value;
}

describe('the signer', () => {
  it('counts seq, links prv, and counts rsq per audience', () => {
    const { sign, session } = swarm.signer('sensor');
    const other = reading('x', { aud: [IDS.analyzer] });
    const records = [sign(reading()), sign(other), sign(reading()), sign(other)];
    expect(records.map(({ claims: { seq, rsq } }) => [seq, rsq])).toEqual([
      [1, 1],
      [2, 1],
      [3, 2],
      [4, 2],
    ]);
    expect(records.map(({ claims }) => claims.prv)).toEqual([
      undefined,
      ...records.slice(0, 3).map(({ id }) => id),
    ]);
    expect(new Set(records.map(({ claims }) => claims.sid))).toEqual(new Set([session]));
    expect(new Set(records.map(({ claims }) => claims.jti)).size).toBe(4);
    expect(records.map((record) => parsed(record).id)).toEqual(records.map(({ id }) => id));
  });

  it('does not sign what a receiver would refuse, and then counts nothing', () => {
    const { sign } = swarm.signer('sensor');
    const many = Array.from({ length: 17 }, (_, n) => `${String(n).padStart(43, 'A')}` as RecordId);
    expect(() => sign(reading('x', { knd: 'act' }))).toThrow('RECORD_KIND_SHAPE');
    expect(() => sign(reading('x', { sbj: 'a.>' }))).toThrow('RECORD_CLAIM_INVALID');
    expect(() => sign(reading('x', { knd: 'msg', par: many }))).toThrow('RECORD_PARENTS_TOO_MANY');
    expect(sign(reading()).claims.seq).toBe(1);
  });

  it('signs with the newest SVID, and not for another identity', async () => {
    let svid = swarm.svid('sensor');
    const { clock } = swarm;
    const signer = createRecordSigner({
      source: () => svid,
      clock,
      random: (n) => Buffer.alloc(n),
    });
    signer.sign(reading());
    svid = await swarm.ca.issue(IDS.sensor);
    expect(parsed(signer.sign(reading())).thumbprint).toBe(svid.thumbprint);
    svid = swarm.svid('action');
    expect(() => signer.sign(reading())).toThrow('identity changed');
  });
});

describe('audience', () => {
  const td = 'spiffe://city.example';
  it('is an exact ID, or a pattern whose star is exactly the last segment', () => {
    const one = `${td}/agent/analyzer/north/*`;
    expect(audienceIncludes([one], IDS.analyzer)).toBe(true);
    expect(audienceIncludes([IDS.analyzer], IDS.analyzer)).toBe(true);
    for (const other of [
      `${td}/agent/analyzer/*`,
      `${td}/agent/analyzer/south/*`,
      `${td}/agent/analyzer/north/analyzer-1/*`,
      `${td}/agent/analyzer/north`,
      'spiffe://other.example/agent/analyzer/north/*',
    ]) {
      expect(audienceIncludes([other], IDS.analyzer)).toBe(false);
    }
    expect(audienceIncludes([one], spiffeId(`${td}/agent/analyzer/north`))).toBe(false);
    expect(audienceIncludes([one], spiffeId(`${td}/agent/analyzer/north/a/b`))).toBe(false);
  });

  it('names no trust domain as a whole, and no star elsewhere', () => {
    expect(isAudience(`${td}/service/*`)).toBe(true);
    const wrong = [
      td,
      `${td}/*`,
      `${td}/`,
      `${td}/*/x`,
      `${td}/agent/a*`,
      `${td}/agent/**`,
      '*',
      7,
    ];
    for (const entry of wrong) expect(isAudience(entry)).toBe(false);
    expect(audienceIncludes([`${td}/*`], spiffeId(`${td}/ledger`))).toBe(false);
  });
});

describe('checks that need a state of the receiver', () => {
  const facts = (more: Partial<RecordFacts> = {}): RecordFacts => ({
    svid: verified('sensor'),
    now: swarm.clock(),
    ...more,
  });

  it('refuses a revoked SVID before it looks at the signature', () => {
    const record = parsed(swarm.signer('sensor').sign(reading()));
    expect(checkRecord(record, facts({ isRevoked: () => false })).ok).toBe(true);
    const broken = { ...record, signature: Buffer.alloc(64) };
    expect(checkRecord(broken, facts({ isRevoked: () => true }))).toMatchObject({
      code: 'RECORD_SVID_REVOKED',
    });
  });

  it('refuses an SVID that is not stated as issued, before it looks at the signature', () => {
    const record = parsed(swarm.signer('sensor').sign(reading()));
    const isLogged: RecordFacts['isLogged'] = ({ thumbprint }) => thumbprint === record.thumbprint;
    expect(checkRecord(record, facts({ isLogged })).ok).toBe(true);
    const broken = { ...record, signature: Buffer.alloc(64) };
    expect(checkRecord(broken, facts({ isLogged: () => false }))).toMatchObject({
      code: 'RECORD_SVID_NOT_LOGGED',
    });
  });

  it('refuses a cached SVID 5 s after its end, and not before that', async () => {
    const clock = testClock();
    const end = new Date(Math.floor(clock() / 1000) * 1000 + 2000);
    const svid = await swarm.ca.issue(IDS.sensor, { notAfter: end });
    const signer = createRecordSigner({
      source: () => svid,
      clock,
      random: (size) => Buffer.alloc(size),
    });
    const record = signer.sign(reading());
    const cache = createSvidCache({ verify: swarm.verify });
    const at = (ms: number) => {
      const known = cache.resolve(svid.thumbprint, record.chain, new Date(ms));
      return known.ok ? checkRecord(parsed(record), { svid: known.value, now: ms }) : known;
    };
    expect(at(end.getTime() + 5000)).toMatchObject({ ok: true });
    expect(at(end.getTime() + 5001)).toMatchObject({ code: 'RECORD_SVID_NOT_VALID' });
    cache.flush();
    expect(at(end.getTime() + 5001)).toMatchObject({ code: 'RECORD_CHAIN_UNVERIFIED' });
  });

  it('refuses a key that is not P-256, whatever Node would verify with it', () => {
    const record = parsed(swarm.signer('sensor').sign(reading()));
    for (const { publicKey } of [
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    ]) {
      const leaf = { publicKey } as X509Certificate;
      const svid = { ...verified('sensor'), leaf };
      expect(checkRecord(record, facts({ svid }))).toMatchObject({ code: 'RECORD_KEY_INVALID' });
    }
  });

  it('refuses a kind that the sender may not make', () => {
    const record = parsed(swarm.signer('sensor').sign(reading()));
    expect(checkRecord(record, facts({ mayMake: (_, kind) => kind === 'root' })).ok).toBe(true);
    expect(checkRecord(record, facts({ mayMake: (_, kind) => kind === 'msg' }))).toMatchObject({
      code: 'RECORD_KIND_NOT_ALLOWED',
    });
  });

  it('refuses a byte moved from the salt to the payload, which has the same digest', () => {
    const draft = reading();
    const signed = swarm.signer('sensor').sign(draft);
    const { payload } = draft;
    const { salt } = signed;
    expect(checkRecord(parsed(signed), facts({ payload, salt })).ok).toBe(true);
    const moved = Buffer.concat([salt.subarray(15), payload]);
    const shifted = facts({ payload: moved, salt: salt.subarray(0, 15) });
    expect(checkRecord(parsed(signed), shifted)).toMatchObject({ code: 'RECORD_PAYLOAD_MISMATCH' });
  });

  it('refuses another member’s certificate for the record', () => {
    const record = parsed(swarm.signer('sensor').sign(reading()));
    expect(checkRecord(record, facts({ svid: verified('action') }))).toMatchObject({
      code: 'RECORD_CHAIN_MISMATCH',
    });
  });
});

const claims = (more: Partial<RecordClaims>): RecordClaims => ({
  ...swarm.signer('sensor').sign(reading()).claims,
  ...more,
});

describe('the replay cache', () => {
  it('remembers (iss, jti) until exp and frees the memory then', () => {
    const clock = testClock(1_000_000);
    const cache = createReplayCache({ clock });
    const first = claims({ jti: 'a', exp: 1030 });
    expect(cache.admit(first).ok).toBe(true);
    expect(cache.admit({ ...first, iss: IDS.action }).ok).toBe(true);
    // The same jti under another exp is the same number used twice.
    expect(cache.admit({ ...first, exp: 1031 })).toMatchObject({ code: 'RECORD_REPLAYED' });
    clock.advance(29_999);
    expect(cache.admit(first)).toMatchObject({ code: 'RECORD_REPLAYED' });
    clock.advance(1);
    cache.admit(claims({ jti: 'b', exp: 1060 }));
    expect(cache.size).toBe(1);
  });

  it('takes no record back that it has forgotten when the clock is set back', () => {
    const clock = testClock(1_000_000);
    const cache = createReplayCache({ clock });
    const first = claims({ jti: 'a', exp: 1030 });
    expect(cache.admit(first).ok).toBe(true);
    clock.advance(60_000);
    expect(cache.admit(claims({ jti: 'b', exp: 1090 })).ok).toBe(true);
    clock.advance(-60_000);
    expect(cache.admit(first)).toMatchObject({ code: 'RECORD_EXPIRED' });
    // The twin: what ends later than all that was forgotten can still be told from a replay.
    expect(cache.admit(claims({ jti: 'c', exp: 1090 })).ok).toBe(true);
    expect(cache.admit(claims({ jti: 'b', exp: 1090 }))).toMatchObject({ code: 'RECORD_REPLAYED' });
  });

  it('refuses a sender over its quota, and no other sender', () => {
    const cache = createReplayCache({ clock: testClock(1_000_000), maxPerSender: 2 });
    for (const jti of ['a', 'b']) cache.admit(claims({ jti, exp: 1030 }));
    expect(cache.admit(claims({ jti: 'c', exp: 1030 }))).toMatchObject({
      code: 'RECORD_REPLAY_CACHE_FULL',
    });
    expect(cache.admit(claims({ jti: 'a', exp: 1030 }))).toMatchObject({ code: 'RECORD_REPLAYED' });
    expect(cache.admit(claims({ iss: IDS.action, jti: 'c', exp: 1030 })).ok).toBe(true);
  });
});

describe('the sequence tracker', () => {
  it('reports gaps and refuses regressions per sender, session and audience', () => {
    const tracker = createSequenceTracker();
    const step = (rsq: number, more: Partial<RecordClaims> = {}) =>
      tracker.advance(claims({ sid: 's', rsq, ...more }));
    expect(step(3)).toMatchObject({ value: { gap: 2, first: true } });
    expect(step(4)).toMatchObject({ value: { gap: 0, first: false } });
    expect(step(9)).toMatchObject({ value: { gap: 4, first: false } });
    for (const rsq of [9, 8])
      expect(step(rsq)).toMatchObject({ code: 'RECORD_SEQUENCE_REGRESSED' });
    expect(step(1, { aud: [IDS.analyzer] })).toMatchObject({ value: { first: true } });
    expect(step(1, { iss: IDS.action })).toMatchObject({ value: { first: true } });
    expect(step(1, { sid: 't' })).toMatchObject({ value: { first: true } });
  });

  it('forgets the oldest session of a sender that opens many, and nothing of others', () => {
    const tracker = createSequenceTracker({ maxPerSender: 2 });
    const step = (sid: string, iss = IDS.sensor) => tracker.advance(claims({ sid, iss, rsq: 1 }));
    step('x', IDS.action as typeof IDS.sensor);
    for (const sid of ['a', 'b', 'c']) step(sid);
    expect(step('a')).toMatchObject({ value: { first: true } });
    expect(step('c').ok).toBe(false);
    expect(step('x', IDS.action as typeof IDS.sensor).ok).toBe(false);
  });
});
