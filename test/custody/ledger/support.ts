import { createLedger, type LedgerOptions, type Submission } from '#custody/ledger/ledger.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { IDS, type Name, reading, type TestSwarm, text } from '../support.ts';

const TOKENS: Readonly<Record<string, Name>> = {
  'sensor-cam-1': 'sensor',
  'analyzer-analyzer-1': 'analyzer',
  'action-action-1': 'action',
  'service-mcp': 'mcp',
  'service-llm': 'llm',
};

/** Storage that keeps entries, deduplicates by id as JetStream does, and fails when told to. */
export function createMemoryStorage() {
  const stored = new Map<string, Uint8Array>();
  const state = { fail: 'no' as 'no' | 'before' | 'after', room: Number.POSITIVE_INFINITY };
  return {
    stored,
    state,
    async append(entries: readonly { readonly bytes: Uint8Array; readonly id: string }[]) {
      if (state.fail === 'before') throw new Error('no answer');
      let durable = 0;
      for (const { bytes, id } of entries) {
        if (!stored.has(id)) {
          if (stored.size >= state.room) return durable;
          stored.set(id, bytes);
        }
        durable += 1;
      }
      // Stored, but the acknowledgement is lost: the caller cannot tell.
      if (state.fail === 'after') throw new Error('no answer');
      return entries.length;
    },
  };
}

export function createTestLedger(swarm: TestSwarm, more: Partial<LedgerOptions> = {}) {
  const storage = createMemoryStorage();
  const { verify, clock } = swarm;
  const senderOf = (subject: string) => {
    const name = TOKENS[subject.split('.')[2] ?? ''];
    return name === undefined ? undefined : IDS[name];
  };
  const ledger = createLedger({ verify, clock, storage, senderOf, ...more });
  return { ledger, storage };
}

export function submission(
  record: SignedRecord,
  payload: string | undefined,
  more: Partial<Submission> = {},
): Submission {
  const { jws, salt, chain, claims } = record;
  const carried = payload === undefined ? {} : { payload: text(payload) };
  return { submittedBy: claims.iss, jws, salt, chain, ...carried, ...more };
}

/** Sensor → analyzer → action: a story of three records, and their payloads. */
export function createStory(swarm: TestSwarm) {
  const sensor = swarm.signer('sensor');
  const analyzer = swarm.signer('analyzer');
  const action = swarm.signer('action');
  const finding = (par: RecordDraft['par'], payload = 'finding') =>
    analyzer.sign({
      aud: ['spiffe://city.example/agent/action/north/*'],
      sbj: 'north.finding.analyzer-analyzer-1',
      knd: 'msg',
      par: par ?? [],
      payload: text(payload),
    });
  const act = (par: RecordDraft['par'], payload = 'act', tool = 'signal.set_plan') =>
    action.sign({
      aud: [IDS.mcp],
      sbj: 'svc.mcp.action-action-1',
      rpl: '_INBOX.action-action-1.mcp.n0',
      knd: 'act',
      par: par ?? [],
      tool: { kind: 'mcp', model: tool, rid: '1', signed: false },
      payload: text(payload),
    });
  const read = (payload = 'reading') => sensor.sign(reading(payload));
  return { read, finding, act, sensor, analyzer, action };
}
