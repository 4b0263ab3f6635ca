import { encodeAck } from '#custody/ack.ts';
import { assembleRange } from '#custody/evidence/assemble.ts';
import type { EvidencePart } from '#custody/evidence/format.ts';
import { evidenceParts } from '#custody/evidence/write.ts';
import type { SignedRecord } from '#custody/record.ts';
import { ORIGIN } from '#test/custody/log/support.ts';
import { ALLOWED } from './city.ts';
import { createWitnessedCity, type WitnessedCity } from './witnessed-city.ts';

/** A receiver's word that it has everything up to this message. */
const acknowledge = (city: WitnessedCity, by: 'analyzer' | 'action', { claims }: SignedRecord) =>
  city.put(by, {
    aud: [claims.iss],
    sbj: `north.ack.${by}-${by}-1.x`,
    knd: 'ack',
    payload: encodeAck({
      type: 'ack',
      to: claims.iss,
      sid: claims.sid,
      aud: claims.aud,
      through: claims.rsq,
      session: 'A'.repeat(22),
    }),
  });

const proposing = (city: WitnessedCity, causes: readonly SignedRecord[]) => {
  const payload = {
    type: 'finding',
    id: 'analyzer-analyzer-1:sensor-cam-1:speed.csv:17',
    sensor: 'sensor-cam-1',
    readingId: 'sensor-cam-1:speed.csv:17',
    measure: 'speed',
    at: '2026-01-01T00:00:00.000Z',
    value: 12.5,
    score: 5.25,
    direction: 'low',
    summary: '',
    runbook: null,
    proposal: { tool: 'signal.set_plan', arguments: {} },
    model: null,
    degraded: [],
  };
  return city.put('analyzer', {
    aud: ['spiffe://city.example/agent/action/north/*'],
    sbj: 'north.finding.analyzer-analyzer-1',
    knd: 'msg',
    par: causes.map(({ id }) => id),
    payload: Buffer.from(JSON.stringify(payload)),
  });
};

/** Two readings, of which one led to a proposal, an act and its answer; all acknowledged, all witnessed. */
export async function createAuditedCity() {
  const city = await createWitnessedCity();
  const read = await city.reading();
  const second = await city.reading();
  const found = await proposing(city, [read]);
  const act = await city.act(found, 'signal.set_plan', {});
  const answer = await city.answer(act, ALLOWED);
  await acknowledge(city, 'analyzer', second);
  await acknowledge(city, 'action', found);
  city.witness();
  const { ledger } = city.evidence;
  const [tree, checkpoints] = [ledger.tree, ledger.checkpoints()];
  const copy = { origin: ORIGIN, entries: ledger, tree, checkpoints };
  const parts: readonly EvidencePart[] = [...evidenceParts(assembleRange(copy))];
  return { city, read, second, found, act, answer, parts };
}
export type AuditedCity = Awaited<ReturnType<typeof createAuditedCity>>;
