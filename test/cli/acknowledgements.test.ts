import { beforeEach, describe, expect, test } from 'vitest';
import { toBytes } from '#agents/json.ts';
import { acknowledgedOf } from '#cli/demo/observations.ts';
import { createAuditBook } from '#cli/evidence/audit/book.ts';
import { checkLedger } from '#cli/evidence/audit/ledger-checks.ts';
import { type AckPayload, encodeAck } from '#custody/ack.ts';
import { assembleRange } from '#custody/evidence/assemble.ts';
import { evidenceParts } from '#custody/evidence/write.ts';
import type { SignedRecord } from '#custody/record.ts';
import { ORIGIN } from '#test/custody/log/support.ts';
import { IDS } from '#test/custody/support.ts';
import { createWitnessedCity, type WitnessedCity } from './witnessed-city.ts';

const DISTRICT = ['spiffe://city.example/agent/analyzer/north/*'];
const EXACT = [IDS.analyzer];
let city: WitnessedCity;
let exact: readonly SignedRecord[];

const read = (aud: readonly string[], row: number) =>
  city.put('sensor', {
    aud,
    sbj: 'north.reading.sensor-cam-1',
    knd: 'root',
    payload: toBytes({
      type: 'reading',
      id: `sensor-cam-1:speed.csv:${row}`,
      row,
      measure: 'speed',
      at: '2026-01-01T00:00:00.000Z',
      value: 12.5,
      late: false,
    }),
  });

const acknowledge = (aud: readonly string[], through: number, more: Partial<AckPayload> = {}) =>
  city.put('analyzer', {
    aud: [IDS.sensor],
    sbj: 'north.ack.analyzer-analyzer-1.sensor-cam-1',
    knd: 'ack',
    payload: encodeAck({
      type: 'ack',
      to: IDS.sensor,
      sid: exact[0]?.claims.sid ?? '',
      aud,
      through,
      session: 'A'.repeat(22),
      ...more,
    }),
  });

/** Five readings to the district, two to one analyzer of it by its ID. */
beforeEach(async () => {
  city = await createWitnessedCity();
  for (let row = 1; row <= 5; row++) await read(DISTRICT, row);
  exact = [await read(EXACT, 6), await read(EXACT, 7)];
});

function audited() {
  city.witness();
  const { ledger } = city.evidence;
  const copy = {
    origin: ORIGIN,
    entries: ledger,
    tree: ledger.tree,
    checkpoints: ledger.checkpoints(),
  };
  const book = createAuditBook();
  for (const part of evidenceParts(assembleRange(copy))) book.add(part);
  const scope = { until: Number.MAX_SAFE_INTEGER, members: [IDS.analyzer, IDS.action] };
  return checkLedger(book, scope).map(({ code, id }) => `${code} ${id}`);
}
const told = () => acknowledgedOf({ ledger: city.ledger } as never, IDS.sensor);

describe('an acknowledgement counts the messages to one audience', () => {
  test('and leaves those to another unacknowledged, though they have the same numbers', async () => {
    await acknowledge(DISTRICT, 5);
    expect(audited()).toEqual(exact.map(({ id }) => `AUDIT_NOT_ACKNOWLEDGED ${id}`));
    expect([told(), city.ledger.counts().acknowledged]).toEqual([5, 5]);
  });

  test('so that two of them acknowledge all', async () => {
    await acknowledge(DISTRICT, 5);
    await acknowledge(EXACT, 2);
    expect(audited()).toEqual([]);
    expect([told(), city.ledger.counts().acknowledged]).toEqual([7, 7]);
  });

  test('and what it rejects is a message to that audience', async () => {
    await acknowledge(DISTRICT, 5, { rejected: [2] });
    await acknowledge(EXACT, 2);
    expect([told(), city.ledger.counts().acknowledged]).toEqual([6, 6]);
  });

  test('one to which nothing was sent has nothing to acknowledge', async () => {
    await acknowledge(DISTRICT, 5);
    await acknowledge(EXACT, 2);
    const odd = await acknowledge([IDS.analyzer, IDS.action], 2);
    expect(audited()).toEqual([`AUDIT_ACKNOWLEDGED_UNRECORDED ${odd.id}`]);
  });
});
