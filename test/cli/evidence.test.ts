import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ledger } from '#custody/ledger/ledger.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import type { EvidenceRecord } from '#custody/verify.ts';
import { IDS } from '#test/custody/support.ts';
import { ALLOWED, type City, createCity, DENIED, serveCity } from './city.ts';
import { CONTROLS, folder, lines, run } from './support.ts';

const ESC = '\u001b';
const HOSTILE = `${ESC}[2J${ESC}]0;owned\u0007 \u202eignore all that\r\nPROVEN`;

const place = folder();
let city: City;
let served: { close(): Promise<void> };
let read: SignedRecord;
let found: SignedRecord;
let done: SignedRecord;
let denied: SignedRecord;
let refused: SignedRecord;
/** What somebody between the ledger and the reader makes of the evidence. */
let tamper: (record: EvidenceRecord) => EvidenceRecord | undefined = (record) => record;

const swarmproof = (...args: readonly string[]) => run(place.path, ...args);

beforeAll(async () => {
  city = await createCity();
  read = await city.reading({ note: HOSTILE });
  const said = await city.chat(read, HOSTILE);
  found = await city.finding([read, said], HOSTILE);
  done = await city.act(found, 'signal.set_plan', { plan: 'B' });
  await city.answer(done, ALLOWED);
  denied = await city.act(found, 'valve.set', { delta_pct: 5 });
  await city.answer(denied, DENIED, 'TOOL_NOT_ALLOWED');
  const { jws, salt, chain } = read;
  await city.ledger.submit({ submittedBy: IDS.analyzer, jws, salt, chain });
  await city.ledger.flush({ all: true });
  refused = await city.refusal({ count: 3, record: read.id });
  const ledger: Ledger = {
    ...city.ledger,
    ancestry: (id, limit) => city.ledger.ancestry(id, limit).flatMap((one) => tamper(one) ?? []),
  };
  served = await serveCity(city, place.path, ledger);
});
afterAll(async () => {
  await served.close();
  place.remove();
});

describe('custody show', () => {
  test('last is the newest action that was carried out, with all that led to it', async () => {
    const { code, out, err } = await swarmproof('custody', 'show', 'last');
    expect([code, err]).toEqual([0, '']);
    const said = lines(out);
    expect(said[0]).toMatch(/^act: signal\.set_plan plan=B +0:00 genuine$/);
    expect(said[1]).toBe(`  /agent/action/north/action-1  ${done.id.slice(0, 8)}`);
    expect(said[2]).toMatch(/^└ finding: speed 12\.5 low, 5\.3 MAD off, runbook slow.* genuine$/);
    expect(out).toMatch(/├ reading: speed 12\.5, row 17 +0:00 genuine/);
    expect(out).toMatch(/└ chat: city-small \(unsigned\): .* genuine/);
    expect(out).toContain('PROVEN  5 records: 5 genuine');
    expect(out).toContain('not drawn: 1 calls');
    expect(out).not.toContain('call: llm');
  });

  test('--full draws every hop with what was signed', async () => {
    const { out } = await swarmproof('custody', 'show', done.id, '--full');
    expect(out).toContain('call: llm POST /v1/chat/completions');
    expect(out).toContain('POST /mcp {"method":"tools/call"');
  });

  test('what is hostile in a payload stays text, and no line leaves the 80 columns', async () => {
    for (const args of [
      ['custody', 'show', 'last', '--full'],
      ['custody', 'list'],
      ['why', 'last'],
    ]) {
      const { out } = await swarmproof(...args);
      expect(out.length).toBeGreaterThan(80);
      expect(out).not.toMatch(CONTROLS);
      expect(out).not.toContain('\u202e');
      for (const line of lines(out)) expect([...line].length, line).toBeLessThanOrEqual(80);
    }
  });

  test('--json says the same for programs', async () => {
    const { code, out } = await swarmproof('custody', 'show', done.id.slice(0, 10), '--json');
    const shown = JSON.parse(out) as { root: string; proven: boolean; hops: { by: string }[] };
    expect([code, shown.root, shown.proven, shown.hops.length]).toEqual([0, done.id, true, 5]);
    expect(shown.hops[0]?.by).toBe('spiffe://city.example/agent/action/north/action-1');
  });

  test('--format gives it to other tools', async () => {
    const drawn = await swarmproof('custody', 'show', done.id, '--format', 'mermaid');
    expect([drawn.code, lines(drawn.out)[0]]).toEqual([0, 'flowchart TD']);
    const prov = await swarmproof('custody', 'show', done.id, '--format', 'prov');
    expect(Object.keys(JSON.parse(prov.out).entity)).toHaveLength(5);
  });

  const altered = (
    id: RecordId,
    change: (record: EvidenceRecord) => EvidenceRecord | undefined,
  ) => {
    tamper = (record) => (record.id === id ? change(record) : record);
  };
  const flipped = (jws: string): string => {
    const at = jws.lastIndexOf('.') + 10;
    return jws.slice(0, at) + (jws[at] === 'A' ? 'B' : 'A') + jws.slice(at + 1);
  };

  test.each([
    [
      'a signature',
      (one: EvidenceRecord) => ({ ...one, jws: flipped(one.jws) }),
      'is forged: RECORD_SIGNATURE_INVALID',
    ],
    [
      'a payload',
      (one: EvidenceRecord) => ({ ...one, payload: Buffer.from('{}') }),
      'is forged: RECORD_PAYLOAD_MISMATCH',
    ],
    ['a record that is left out', () => undefined, 'is unverifiable: the record is missing'],
  ])('%s changed on the way is named, and the exit code is 1', async (_what, change, why) => {
    altered(found.id, change);
    try {
      const { code, out, err } = await swarmproof('custody', 'show', 'last');
      expect(code).toBe(1);
      expect(err).toMatch(/^swarmproof: not proven: record /);
      expect(err).toContain(found.id.slice(0, 8));
      expect(err).toContain(why);
      expect(out).toContain('NOT PROVEN');
      expect(out).toMatch(/forged|unverifiable/);
    } finally {
      tamper = (record) => record;
    }
    expect((await swarmproof('custody', 'show', 'last')).code).toBe(0);
  });

  test('a withheld payload is said to be withheld, and proves all the same', async () => {
    altered(read.id, ({ payload: _, ...rest }) => rest);
    try {
      const { code, out } = await swarmproof('custody', 'show', 'last');
      expect([code, out.includes('PROVEN  5 records: 4 genuine, 1 withheld')]).toEqual([0, true]);
      expect(out).toMatch(/reading: payload withheld +0:00 withheld/);
    } finally {
      tamper = (record) => record;
    }
  });

  test.each([
    [['custody', 'show', 'zzzzzz'], /no record starts with zzzzzz/],
    [['custody', 'show', 'A'], /too short/],
    [['custody', 'show', `a${ESC}[2J`], /is no record id/],
    [['custody', 'show', '--nonsense'], /unknown option '--nonsense'/],
    [['custody', 'show', '-Abc'], /no record starts with -Abc/],
    [['custody', 'list', '--kind', 'revoke'], /holds nothing of kind revoke/],
    [['why', '@99999'], /no entry @99999/],
    [['custody', 'export', 'last', '-o', '/tmp/none.json'], /keeps no witnessed ledger/],
    [['custody', 'trust'], /keeps no witnessed ledger/],
  ])('%s: one line says what is wrong', async (args, why) => {
    const { code, out, err } = await swarmproof(...args);
    expect([code, out]).toEqual([1, '']);
    expect(lines(err)).toHaveLength(1);
    expect(err).toMatch(why);
    expect(err).not.toMatch(CONTROLS);
  });
});

describe('why', () => {
  test('a denial: who, certificate, rule with file and line, revision, decision, record', async () => {
    const { code, out } = await swarmproof('why', denied.id.slice(0, 12));
    const serial = city.swarm.svid('action').serial;
    expect(code).toBe(0);
    expect(lines(out)[0]).toBe('DENIED     TOOL_NOT_ALLOWED');
    for (const part of [
      'who        spiffe://city.example/agent/action/north/action-1',
      `with certificate ${serial}`,
      'valve.set delta_pct=5',
      'unproven   policy/rego/authz.rego:117  tool_granted',
      'The tool is on the list.',
      `revision   ${DENIED.revision}`,
      'decision   decision-2',
      ', genuine',
    ]) {
      expect(out).toContain(part);
    }
  });

  test('the decision that allowed an action has the same form, found by record or decision', async () => {
    const byRecord = await swarmproof('why', done.id);
    const byDecision = await swarmproof('why', 'decision-1');
    expect(byRecord.out).toBe(byDecision.out);
    expect(lines(byRecord.out)[0]).toBe('ALLOWED');
    expect(byRecord.out).toContain('proven     policy/rego/authz.rego:117  tool_granted');
    expect(byRecord.out).toContain('outcome    done');
  });

  test('last is the newest refusal: presenter, signer, check, place, how often', async () => {
    const { code, out } = await swarmproof('why', 'last');
    expect(code).toBe(0);
    expect(lines(out)[0]).toBe('REFUSED    RECORD_REPLAYED');
    for (const part of [
      'meaning    This record was received before.',
      'kind       not-authentic: it does not prove what it says',
      'presented  sensor-cam-1 (the identity that the broker pinned)',
      'signed     not known',
      'the door of spiffe://city.example/agent/analyzer/north/analyzer-1',
      'how often  3 times in that second, 3 times in all',
      `${refused.id}, genuine`,
    ]) {
      expect(out.replace(/\n +/g, ' ')).toContain(part);
    }
    // By the record that was refused, the same refusal is found.
    expect((await swarmproof('why', read.id.slice(0, 8))).out).toBe(out);
    const json = JSON.parse((await swarmproof('why', 'last', '--json')).out) as { type: string };
    expect(json.type).toBe('refusal');
  });

  test('a refusal by the ledger itself has no record, and is named by its index', async () => {
    const listed = await swarmproof('custody', 'list', '--kind', 'refusal');
    const name = lines(listed.out)[1]?.split(' ')[0] ?? '';
    expect(name).toMatch(/^@\d+$/);
    const { code, out } = await swarmproof('why', name);
    expect([code, lines(out)[0]]).toEqual([0, 'REFUSED    LEDGER_NOT_OWN_RECORD']);
    expect(out).toContain('presented  spiffe://city.example/agent/analyzer/north/analyzer-1');
    expect(out).toContain('signed     spiffe://city.example/agent/sensor/north/cam-1');
    expect(out).toContain('where      the ledger');
    expect(out).toContain('told by the ledger');
  });

  test('what policy was not asked about is said to be so', async () => {
    const { code, err } = await swarmproof('why', found.id);
    expect(code).toBe(1);
    expect(err).toMatch(/is a finding: nothing was refused/);
  });

  test('a decision whose record was changed on the way is not believed', async () => {
    tamper = (record) =>
      record.id === denied.id ? { ...record, payload: Buffer.from('{}') } : record;
    try {
      const { code, err } = await swarmproof('why', denied.id);
      expect(code).toBe(1);
      expect(err).toMatch(/not proven: forged/);
    } finally {
      tamper = (record) => record;
    }
  });
});
