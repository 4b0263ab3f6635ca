import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBytes } from '#agents/json.ts';
import type { Member } from '#bus/directory.ts';
import { encodeRequest, encodeResponse, type SignedDecision } from '#bus/http-message.ts';
import { type ServedSwarm, serveSwarm } from '#cli/wiring/control.ts';
import { encodeAck, type RefusalPayload } from '#custody/ack.ts';
import { createLedger, type Ledger, type LedgerOptions } from '#custody/ledger/ledger.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { refuse } from '#identity/outcome.ts';
import { openRunFolder } from '#runtime/run-folder.ts';
import { createMemoryStorage } from '#test/custody/ledger/support.ts';
import { createTestSwarm, IDS, type Name } from '#test/custody/support.ts';

export const RULES = {
  tool_granted: { file: 'policy/rego/authz.rego', line: 117, title: 'The tool is on the list.' },
};
export const REVISION = 'a'.repeat(64);
export const ALLOWED: SignedDecision = {
  id: 'decision-1',
  allow: true,
  reasons: ['tool_granted'],
  revision: REVISION,
};
export const DENIED: SignedDecision = { ...ALLOWED, id: 'decision-2', allow: false };

/** A ledger with a story in it, made by real signatures, and commands served from it. */
export async function createCity(more: Partial<LedgerOptions> = {}) {
  const swarm = await createTestSwarm();
  const ledger = createLedger({
    verify: swarm.verify,
    clock: swarm.clock,
    storage: createMemoryStorage(),
    ...more,
  });
  const signers = new Map(
    (['sensor', 'analyzer', 'action', 'mcp', 'llm'] as const).map((name) => [
      name,
      swarm.signer(name),
    ]),
  );

  /** Signs, submits, and returns the record. */
  async function put(name: Name, draft: RecordDraft): Promise<SignedRecord> {
    const record = signers.get(name)?.sign(draft);
    if (record === undefined) throw new Error(`no signer ${name}`);
    const { jws, salt, chain } = record;
    const { payload } = draft;
    const done = await ledger.submit({ submittedBy: IDS[name], jws, salt, chain, payload });
    if (!done.ok) throw new Error(`${done.code}: ${done.detail}`);
    return record;
  }

  const reading = (text?: Readonly<Record<string, string>>) =>
    put('sensor', {
      aud: ['spiffe://city.example/agent/analyzer/north/*'],
      sbj: 'north.reading.sensor-cam-1',
      knd: 'root',
      payload: toBytes({
        type: 'reading',
        id: 'sensor-cam-1:speed.csv:17',
        row: 17,
        measure: 'speed',
        at: '2026-01-01T00:00:00.000Z',
        value: 12.5,
        late: false,
        ...(text && { text }),
      }),
    });

  async function chat(cause: SignedRecord, content: string): Promise<SignedRecord> {
    const call = await put('analyzer', {
      aud: [IDS.llm],
      sbj: 'svc.llm.analyzer-analyzer-1',
      rpl: '_INBOX.analyzer-analyzer-1.llm.n0',
      knd: 'tool.call',
      par: [cause.id],
      payload: encodeRequest({
        method: 'POST',
        path: '/v1/chat/completions',
        contentType: 'application/json',
        body: '{}',
      }),
    });
    return put('llm', {
      aud: [IDS.analyzer],
      sbj: '_INBOX.analyzer-analyzer-1.llm.n0',
      knd: 'tool.result',
      par: [call.id],
      tool: { kind: 'chat', model: 'city-small', rid: '1', signed: false },
      payload: encodeResponse({
        status: 200,
        contentType: 'application/json',
        body: JSON.stringify({ choices: [{ message: { content } }] }),
        decision: { ...ALLOWED, id: 'decision-0' },
      }),
    });
  }

  const finding = (causes: readonly SignedRecord[], summary = 'slow') =>
    put('analyzer', {
      aud: ['spiffe://city.example/agent/action/north/*'],
      sbj: 'north.finding.analyzer-analyzer-1',
      knd: 'msg',
      par: causes.map(({ id }) => id),
      payload: toBytes({
        type: 'finding',
        id: 'analyzer-analyzer-1:sensor-cam-1:speed.csv:17',
        sensor: 'sensor-cam-1',
        readingId: 'sensor-cam-1:speed.csv:17',
        measure: 'speed',
        at: '2026-01-01T00:00:00.000Z',
        value: 12.5,
        score: 5.25,
        direction: 'low',
        summary,
        runbook: 'slow-traffic',
        proposal: null,
        model: 'city-small',
        degraded: [],
      }),
    });

  const act = (cause: SignedRecord, tool: string, given: Readonly<Record<string, unknown>>) =>
    put('action', {
      aud: [IDS.mcp],
      sbj: 'svc.mcp.action-action-1',
      rpl: '_INBOX.action-action-1.mcp.n0',
      knd: 'act',
      par: [cause.id],
      tool: { kind: 'mcp', model: tool, rid: '1', signed: false },
      payload: encodeRequest({
        method: 'POST',
        path: '/mcp',
        contentType: 'application/json',
        body: JSON.stringify({ method: 'tools/call', params: { name: tool, arguments: given } }),
      }),
    });

  const answer = (call: SignedRecord, decision: SignedDecision, code?: string) =>
    put('mcp', {
      aud: [IDS.action],
      sbj: '_INBOX.action-action-1.mcp.n0',
      knd: 'tool.result',
      par: [call.id],
      payload: encodeResponse({
        status: 200,
        contentType: 'application/json',
        body: JSON.stringify({
          result:
            code === undefined
              ? { structuredContent: { done: true } }
              : { isError: true, structuredContent: { error: { code } } },
        }),
        decision,
      }),
    });

  const refusal = (given: Partial<RefusalPayload>) =>
    put('analyzer', {
      aud: ['spiffe://city.example/platform/ledger'],
      sbj: 'custody.append.analyzer-analyzer-1',
      knd: 'ack',
      payload: encodeAck({
        type: 'refusal',
        code: 'RECORD_REPLAYED',
        presented_by: 'sensor-cam-1',
        subject: 'north.reading.sensor-cam-1',
        count: 1,
        ...given,
      }),
    });

  return { swarm, ledger, put, reading, chat, finding, act, answer, refusal };
}
export type City = Awaited<ReturnType<typeof createCity>>;

const member = (id: (typeof IDS)[Name], name: string): Member => ({
  id,
  token: name,
  kind: 'agent',
  role: name,
  name,
});

/** Serves commands from a ledger, or from what somebody made of one, in `<stateDir>/runs/default`. */
export async function serveCity(
  city: City,
  stateDir: string,
  ledger: Ledger = city.ledger,
  more: Partial<ServedSwarm> = {},
) {
  mkdirSync(join(stateDir, 'runs'), { recursive: true });
  const run = await openRunFolder({
    path: join(stateDir, 'runs', 'default'),
    id: 'default',
    tempDir: tmpdir(),
  });
  if (!run.ok) throw new Error(run.detail);
  const control = await serveSwarm(
    {
      ledger: { ...ledger, onEntry: () => () => {} },
      run: run.value,
      swarm: {
        name: 'city',
        members: Object.entries(IDS).map(([name, id]) => member(id, name)),
        agents: [],
      },
      replaceAgent: async () => refuse('AGENT_UNKNOWN', 'nothing runs here'),
      rollbackAgent: async () => refuse('AGENT_UNKNOWN', 'nothing runs here'),
      onRefusal: () => () => {},
      observe: '/nowhere/works.sock',
      traces: {
        file: '/nowhere/traces.jsonl',
        counts: () => ({ taken: 0, dropped: 0, refused: 0, written: 0, lost: {} }),
        find: () => [],
        wait: async () => undefined,
        onTrouble: () => {},
      },
      status: () => ({ state: 'running', at: new Date().toISOString(), processes: [] }),
      trust: () => city.swarm.bundles,
      rules: () => RULES,
      ...more,
    },
    () => {},
  );
  return {
    close: async () => {
      await control.close();
      await run.value.close();
    },
  };
}
