import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { createCertificateCache } from '#bus/certificates.ts';
import { createDirectory } from '#bus/directory.ts';
import { type ChannelOptions, createDoor, type DoorMessage } from '#bus/door.ts';
import { encodeHeaders } from '#custody/headers.ts';
import { createRecordSigner, type RecordDraft } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import type { X509Svid } from '#identity/svid.ts';
import { MEMBERS, randomOf, TRUST_DOMAIN } from '#test/support/swarm.ts';
import { bundleSet, createTestCa, type TestCa } from '#test/support/test-ca.ts';

const NOW = Date.now();
const SUBJECT = 'svc.llm.analyzer-analyzer-1';
const REPLY = '_INBOX.analyzer-analyzer-1.llm.n1';
const PAYLOAD = Buffer.from('{"a":1}');
let ca: TestCa;
let partner: TestCa;
const svids = new Map<string, X509Svid>();

beforeAll(async () => {
  ca = await createTestCa(TRUST_DOMAIN);
  partner = await createTestCa('partner.example');
  for (const member of Object.values(MEMBERS)) svids.set(member.id, await ca.issue(member.id));
});

const CHANNEL: ChannelOptions = {
  subject: 'svc.llm.*',
  kinds: ['tool.call', 'act'],
  reply: 'inbox',
  service: 'llm',
};

function setUp(options: { channel?: ChannelOptions; revoked?: string; startedAt?: number } = {}) {
  let bundles = bundleSet(ca, partner);
  const certificates = createCertificateCache({ bundles: () => bundles });
  const door = createDoor({
    self: MEMBERS.llm,
    directory: createDirectory(Object.values(MEMBERS)),
    certificates,
    clock: () => NOW,
    startedAt: options.startedAt ?? NOW - 60_000,
    isRevoked: (svid) => svid.id === options.revoked,
  });
  const channel = door.channel(options.channel ?? CHANNEL);
  const trust = (...cas: TestCa[]) => {
    bundles = bundleSet(...cas);
    certificates.trustChanged();
  };
  return { channel, trust };
}

function signerOf(id: string, svid = svids.get(id)) {
  if (svid === undefined) throw new Error(`no SVID for ${id}`);
  return createRecordSigner({ source: () => svid, clock: () => NOW, random: randomOf });
}

function draft(more: Partial<RecordDraft> = {}): RecordDraft {
  return {
    aud: [MEMBERS.llm.id],
    sbj: SUBJECT,
    rpl: REPLY,
    knd: 'tool.call',
    payload: PAYLOAD,
    ...more,
  };
}

function message(record: SignedRecord, more: Partial<DoorMessage> = {}, chain = true): DoorMessage {
  const headers = encodeHeaders(record, { chain }).map(
    ([name, value]) => [name, [value]] as [string, string[]],
  );
  return { subject: SUBJECT, reply: REPLY, headers, data: PAYLOAD, ...more };
}

describe('the door', () => {
  test('lets a member’s own signed request in, once', () => {
    const { channel } = setUp();
    const record = signerOf(MEMBERS.analyzer.id).sign(draft());
    const verdict = channel.check(message(record));
    expect(verdict).toMatchObject({ ok: true, signedBy: MEMBERS.analyzer.id, gap: 0 });
    expect(channel.check(message(record))).toMatchObject({ ok: false, code: 'RECORD_REPLAYED' });
  });

  test('refuses a reply subject that is not the caller’s inbox for this service', () => {
    const signer = signerOf(MEMBERS.analyzer.id);
    for (const rpl of [
      '_INBOX.sensor-cam-1.llm.n1',
      '_INBOX.analyzer-analyzer-1.mcp.n1',
      '_INBOX.analyzer-analyzer-1.llm',
      'north.finding.analyzer-analyzer-1',
      'ledger.entry',
    ]) {
      const { channel } = setUp();
      const verdict = channel.check(message(signer.sign(draft({ rpl })), { reply: rpl }));
      expect(verdict).toMatchObject({ ok: false, code: 'DOOR_REPLY_INVALID' });
    }
    const { channel } = setUp();
    expect(channel.check(message(signer.sign(draft()))).ok).toBe(true);
  });

  test('names who presented a record apart from whose it is', () => {
    const { channel } = setUp();
    const stolen = signerOf(MEMBERS.analyzer.id).sign(draft());
    const subject = 'svc.llm.sensor-cam-1';
    const reply = '_INBOX.sensor-cam-1.llm.n1';
    expect(channel.check(message(stolen, { subject, reply }))).toMatchObject({
      ok: false,
      code: 'RECORD_SUBJECT_MISMATCH',
      presentedBy: 'sensor-cam-1',
      signedBy: MEMBERS.analyzer.id,
    });
    const lent = signerOf(MEMBERS.analyzer.id).sign(draft({ sbj: subject, rpl: reply }));
    expect(channel.check(message(lent, { subject, reply }))).toMatchObject({
      ok: false,
      code: 'DOOR_SIGNER_NOT_PRESENTER',
      presentedBy: 'sensor-cam-1',
      signedBy: MEMBERS.analyzer.id,
    });
    // Neither attempt used up the genuine record.
    expect(channel.check(message(stolen)).ok).toBe(true);
  });

  test('refuses a partner’s CA that signs for a local identity, and names nobody for it', async () => {
    const { channel } = setUp();
    const forged = await partner.issue(MEMBERS.analyzer.id);
    const record = signerOf(MEMBERS.analyzer.id, forged).sign(draft());
    expect(channel.check(message(record))).toMatchObject({
      ok: false,
      code: 'RECORD_CHAIN_UNVERIFIED',
      signedBy: undefined,
    });
  });

  test('asks for an unknown chain, remembers a known one, and judges it anew on a new bundle', () => {
    const { channel, trust } = setUp();
    const signer = signerOf(MEMBERS.analyzer.id);
    const check = (chain: boolean) => channel.check(message(signer.sign(draft()), {}, chain));
    expect(check(false)).toMatchObject({ ok: false, code: 'RECORD_CHAIN_UNKNOWN' });
    expect(check(true).ok).toBe(true);
    expect(check(false).ok).toBe(true);
    trust(partner);
    expect(check(false)).toMatchObject({ ok: false, code: 'RECORD_CHAIN_UNVERIFIED' });
    trust(ca, partner);
    expect(check(false).ok).toBe(true);
  });

  test('refuses the revoked, wrong kinds, other audiences, old records and regressions', () => {
    const { id } = MEMBERS.analyzer;
    const once = (
      code: string,
      change: Partial<RecordDraft>,
      options: Parameters<typeof setUp>[0] = {},
    ) => {
      const verdict = setUp(options).channel.check(message(signerOf(id).sign(draft(change))));
      expect(verdict).toMatchObject({ ok: false, code });
    };
    once('RECORD_SVID_REVOKED', {}, { revoked: id });
    once('RECORD_KIND_NOT_ALLOWED', { knd: 'msg' });
    once('RECORD_AUDIENCE_MISMATCH', { aud: [MEMBERS.mcp.id] });
    once('RECORD_BEFORE_START', {}, { startedAt: NOW + 5000 });
    once('RECORD_PAYLOAD_MISMATCH', { payload: Buffer.from('{"a":2}') });
    once('RECORD_REPLY_MISMATCH', { rpl: '_INBOX.analyzer-analyzer-1.llm.n2' });
    const { channel } = setUp();
    const signer = signerOf(id);
    const [first, second] = [signer.sign(draft()), signer.sign(draft())];
    expect(channel.check(message(second))).toMatchObject({ ok: true, gap: 1 });
    expect(channel.check(message(first))).toMatchObject({ code: 'RECORD_SEQUENCE_REGRESSED' });
  });

  test('an answer is taken only from who was asked and only for that request', () => {
    const channel: ChannelOptions = {
      subject: '_INBOX.service-llm.*.*',
      kinds: ['tool.result'],
      reply: 'none',
    };
    const subject = '_INBOX.service-llm.mcp.n1';
    const signer = signerOf(MEMBERS.mcp.id);
    const parent = signerOf(MEMBERS.llm.id).sign(draft()).id;
    const other = signerOf(MEMBERS.llm.id).sign(draft()).id;
    const answer = () => {
      const { rpl: _none, ...rest } = draft({ sbj: subject, knd: 'tool.result', par: [parent] });
      return message(signer.sign(rest), { subject, reply: undefined });
    };
    const door = setUp({ channel }).channel;
    const expected = { signer: MEMBERS.mcp.id, parent };
    expect(door.check(answer(), { ...expected, parent: other })).toMatchObject({
      code: 'DOOR_PARENT_MISSING',
    });
    expect(door.check(answer(), { ...expected, signer: MEMBERS.ledger.id })).toMatchObject({
      code: 'DOOR_SIGNER_UNEXPECTED',
    });
    expect(door.check(answer(), expected).ok).toBe(true);
  });

  test('never throws, whatever comes, and lets nothing invented in', () => {
    const { channel } = setUp();
    const genuine = signerOf(MEMBERS.analyzer.id).sign(draft());
    const names = fc.constantFrom('Custody', 'Custody-Salt', 'Custody-Chain', 'custody', 'X', '');
    const values = fc.oneof(
      fc.string(),
      fc.constant(genuine.jws.slice(0, -4)),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
      fc.constantFrom('a.b.c', '..', 'eyJhbGciOiJub25lIn0.e30.', genuine.jws),
    );
    const headers = fc.oneof(
      fc.constant(undefined),
      fc.constant('malformed' as const),
      fc.array(fc.tuple(names, fc.array(values, { maxLength: 3 }))),
    );
    const subject = fc.oneof(
      fc.string(),
      fc.constantFrom(SUBJECT, 'svc.llm.x', 'svc.llm.', '_INBOX.a.b.c', '...', 'svc.llm.__proto__'),
    );
    fc.assert(
      fc.property(
        subject,
        fc.option(fc.string(), { nil: undefined }),
        headers,
        fc.uint8Array(),
        (to, reply, head, data) => {
          const verdict = channel.check({ subject: to, reply, headers: head, data });
          expect(verdict.ok).toBe(false);
        },
      ),
      { numRuns: 3000 },
    );
    // The honest twin, after all that.
    expect(channel.check(message(genuine)).ok).toBe(true);
  });

  test('a genuine message with any one byte changed is refused', () => {
    const { channel } = setUp();
    const record = signerOf(MEMBERS.analyzer.id).sign(draft());
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 127 }), (at, by) => {
        const index = at % record.jws.length;
        const changed = String.fromCharCode(record.jws.charCodeAt(index) ^ by);
        const jws = record.jws.slice(0, index) + changed + record.jws.slice(index + 1);
        expect(channel.check(message({ ...record, jws })).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
    expect(channel.check(message(record)).ok).toBe(true);
  });
});
