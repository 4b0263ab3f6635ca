import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStatement, statementKind } from '#custody/log/statement.ts';
import { entriesOf, isRecord } from './account.ts';
import { type Scene, scene } from './rogue.ts';

let stage: Scene;
beforeAll(async () => {
  stage = await scene();
}, 120_000);
afterAll(() => stage?.close());

const LEDGER = 'spiffe://city.example/platform/ledger';
const SUPERVISOR = 'spiffe://city.example/platform/supervisor';
const ANALYZER = 'spiffe://city.example/agent/analyzer/north/analyzer-1';

async function refusal(code: string, since: number) {
  const { ledger } = stage.running;
  const found = () => ledger.refusals(since).find((one) => one.refusal.code === code);
  await ledger.entry(() => found() !== undefined, since);
  return found()?.refusal;
}

/** What the ledger's entries state. */
function statements() {
  return entriesOf(stage.running).flatMap((entry) => {
    const opened = entry.type === 'statement' && openStatement(entry.note, [], 0);
    return opened !== false && opened.ok ? [opened.value] : [];
  });
}

describe('a thief of the authority’s key, with a valid SVID of a running agent', () => {
  test('does not get past the gate, as that agent or as a part of the platform', async () => {
    const { running, enter, sensor } = stage;
    for (const id of [ANALYZER, LEDGER, SUPERVISOR]) {
      const since = running.ledger.size();
      await expect(enter(id)).rejects.toThrow(/authorization/i);
      expect(await refusal('GATE_SVID_NOT_LOGGED', since)).toMatchObject({
        presented_by: 'unknown',
        subject: expect.stringMatching(/^gate-[ab]$/),
      });
    }
    // The honest twin: the SVID that the issuer gave to the process which the launcher started.
    await (await sensor.connect()).flush();
  });

  test('does not get a record past the door, from inside of that agent, nor into the ledger', async () => {
    const { running, present, sensor } = stage;
    const since = running.ledger.size();
    const { record } = await present();
    const refused = await refusal('RECORD_SVID_NOT_LOGGED', since);
    expect(refused).toMatchObject({ presented_by: sensor.self.token });
    // Whose certificate it is, is a claim: nobody is named as the signer.
    expect(refused?.signed_by).toBeUndefined();
    const { bus } = await sensor.client();
    const payload = Buffer.from('{"type":"join"}');
    const id = await bus.record({ kind: 'root', payload });
    await running.ledger.entry((entry) => isRecord(entry, id), since);
    // The ledger took the honest one, given to it after the rogue one, and not that.
    expect(running.ledger.get(record.id)).toBeUndefined();
  });
});

describe('an identity that is taken away', () => {
  test('loses its connections at once, and its certificate opens none; the ledger says so', async () => {
    const { running, sensor } = stage;
    const { thumbprint } = sensor.source.svid();
    const nats = await sensor.connect();
    const entry = await running.administer(async (issuer) => {
      const listed = await issuer.listEntries(0);
      if (!listed.ok) return listed;
      const own = listed.value.entries.find((one) => one.entry.spiffe_id === sensor.self.id);
      return issuer.removeEntry(own?.entry.id ?? '');
    });
    expect(entry).toMatchObject({ ok: true });
    for await (const { type } of nats.status()) if (type === 'disconnect') break;
    await expect(sensor.connect()).rejects.toThrow();
    expect(await refusal('GATE_SVID_REVOKED', 0)).toBeDefined();
    // The refusal comes by the broker, the statement by the supervisor: either may be entered first.
    const revoked = expect.objectContaining({ kind: 'revocation', thumbprint });
    await expect.poll(statements).toContainEqual(revoked);
    const stateOf = (name: string) =>
      running.status().processes.find((one) => one.name === name)?.state;
    await expect.poll(() => stateOf('sensor-implant-1')).not.toBe('ready');
    // The twin: another sensor of the same role goes on.
    expect(stateOf('sensor-cam-1')).toBe('ready');
  });
});

describe('what the ledger shows of a swarm', () => {
  test('every certificate under which it took a record was stated before, by the attester', async () => {
    const { running } = stage;
    const stated = new Map<string, number>();
    for (const entry of entriesOf(running)) {
      if (entry.type === 'statement' && statementKind(entry.note) === 'issuance') {
        const opened = openStatement(entry.note, [], 0);
        if (opened.ok && opened.value.kind === 'issuance') {
          stated.set(opened.value.thumbprint, entry.index);
        }
      }
      if (entry.type !== 'record') continue;
      expect(stated.get(entry.record.thumbprint) ?? Infinity).toBeLessThan(entry.index);
    }
    expect(stated.size).toBeGreaterThan(5);
  });

  test('which process runs which image, which keys there are, and which rules decide', () => {
    const { running } = stage;
    const all = statements();
    const attested = all.flatMap((one) => (one.kind === 'attestation' ? [one.id] : []));
    const processes = running.status().processes.flatMap(({ spiffeId: id }) => id ?? []);
    const nats = 'spiffe://city.example/platform/nats';
    for (const id of processes.filter((one) => one !== nats)) expect(attested).toContain(id);
    expect(all.filter(({ kind }) => kind === 'attestation')).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ image: 'ledger', key: expect.any(String) }),
      ]),
    );
    for (const use of ['x509', 'jwt']) {
      expect(all).toContainEqual(
        expect.objectContaining({ kind: 'authority', use, state: 'active' }),
      );
    }
    expect(all).toContainEqual(expect.objectContaining({ kind: 'policy' }));
    expect(all).toContainEqual(expect.objectContaining({ kind: 'bundle', domain: 'city.example' }));
  });
});
