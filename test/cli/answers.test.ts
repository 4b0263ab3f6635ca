import { beforeEach, describe, expect, test } from 'vitest';
import { encodeResponse } from '#bus/http-message.ts';
import { createAuditBook } from '#cli/evidence/audit/book.ts';
import { checkLedger } from '#cli/evidence/audit/ledger-checks.ts';
import { verdictLines } from '#cli/evidence/verdict-lines.ts';
import type { SwarmClient } from '#cli/story/client.ts';
import { isKind } from '#cli/story/entries.ts';
import { lastAction } from '#cli/story/find.ts';
import { explain } from '#cli/story/why.ts';
import { assembleAction, assembleRange } from '#custody/evidence/assemble.ts';
import { type EvidencePart, formatEvidence } from '#custody/evidence/format.ts';
import { parseTrust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { evidenceParts } from '#custody/evidence/write.ts';
import { isAnswerTo } from '#custody/parents.ts';
import type { SignedRecord } from '#custody/record.ts';
import { ORIGIN } from '#test/custody/log/support.ts';
import { IDS, type Name } from '#test/custody/support.ts';
import { ALLOWED, DENIED, RULES } from './city.ts';
import { createWitnessedCity, type WitnessedCity } from './witnessed-city.ts';

let city: WitnessedCity;
let act: SignedRecord;

beforeEach(async () => {
  city = await createWitnessedCity();
  act = await city.act(await city.finding([await city.reading()]), 'signal.set_plan', {});
});

/** To whoever gave the order, in the form of the service's answer, by `name`. */
const answerBy = (name: Name, decision = ALLOWED) =>
  city.put(name, {
    aud: [IDS.action],
    sbj: '_INBOX.action-action-1.mcp.n0',
    knd: 'tool.result',
    par: [act.id],
    payload: encodeResponse({
      status: 200,
      contentType: 'application/json',
      body: JSON.stringify({ result: { structuredContent: { done: true } } }),
      decision,
    }),
  });

function copyNow() {
  city.witness();
  const { ledger } = city.evidence;
  return {
    origin: ORIGIN,
    entries: ledger,
    tree: ledger.tree,
    checkpoints: ledger.checkpoints(),
  };
}

function client(): SwarmClient {
  const { ledger, swarm } = city;
  return {
    newest: async ({ kind, limit = 1 }) =>
      ledger
        .entries()
        .filter((entry) => kind === undefined || isKind(entry, kind))
        .slice(-limit),
    find: async (prefix) => ledger.find(prefix).map(({ record }) => record.id),
    entry: async (index) => ledger.entries()[index],
    record: async (id) => ledger.get(id),
    children: async (id) => ledger.children(id),
    ancestry: async (id) => ledger.ancestry(id),
    trust: async () => ({ bundles: swarm.bundles, members: Object.values(IDS), rules: RULES }),
  };
}

const codesOf = (parts: Iterable<EvidencePart>) => {
  const book = createAuditBook();
  for (const part of parts) book.add(part);
  return checkLedger(book, { until: Number.MAX_SAFE_INTEGER, members: [] }).map(
    ({ code, id }) => `${code} ${id}`,
  );
};
const audited = () => codesOf(evidenceParts(assembleRange(copyNow())));

/** What `custody verify` prints of a file for the act that holds everything in the ledger. */
function shown(): string {
  const whole = assembleRange(copyNow());
  const header = { origin: ORIGIN, action: act.id };
  const trust = parseTrust(city.trust);
  if (!trust.ok) throw new Error(trust.detail);
  const file = formatEvidence([...evidenceParts({ ...whole, header })]);
  const verdict = verifyEvidence(Buffer.from(file), trust.value);
  expect(verdict.beyond?.length).toBeGreaterThan(0);
  return verdictLines({ verdict, records: [] }, { full: true }).join('\n');
}
const carried = () => assembleAction(copyNow(), act.id)?.entries ?? [];
const isIn = ({ id }: SignedRecord) =>
  [...carried()].some((entry) => entry.type === 'record' && entry.record.id === id);

describe('an order answered by the service that it was addressed to', () => {
  test('is answered for the audit, in evidence, and as the last action', async () => {
    const answer = await answerBy('mcp');
    expect(audited()).toEqual([]);
    expect(isIn(answer)).toBe(true);
    expect(shown()).toContain('\nanswered\n');
    expect((await lastAction(client())).record.id).toBe(act.id);
  });

  test('is explained by its answer', async () => {
    const answer = await answerBy('mcp', DENIED);
    for (const given of [act.id, answer.id, 'last']) {
      expect(await explain(client(), given)).toMatchObject({ by: IDS.mcp, askedRecord: act.id });
    }
  });
});

describe.each(['action', 'llm'] as const)('an order answered by %s, who was not asked', (name) => {
  test('is not answered for the audit, which names who answered', async () => {
    const answer = await answerBy(name);
    expect(audited()).toEqual([`AUDIT_ANSWER_FOREIGN ${answer.id}`, `AUDIT_UNANSWERED ${act.id}`]);
  });

  test('is not answered in evidence, neither as assembled nor as shown', async () => {
    const answer = await answerBy(name);
    expect(isIn(answer)).toBe(false);
    expect(shown()).not.toContain('answered');
  });

  test('is no action that was carried out, and explains nothing', async () => {
    const answer = await answerBy(name, DENIED);
    await expect(lastAction(client())).rejects.toThrow('the newest order was not carried out');
    await expect(explain(client(), act.id)).rejects.toThrow('has no answer in the ledger');
    await expect(explain(client(), answer.id)).rejects.toThrow('answers no call');
  });

  test('is answered once the service answers, and who was not asked is named all the same', async () => {
    const foreign = await answerBy(name);
    const answer = await answerBy('mcp');
    expect(audited()).toEqual([`AUDIT_ANSWER_FOREIGN ${foreign.id}`]);
    expect([isIn(foreign), isIn(answer)]).toEqual([false, true]);
  });
});

test('an answer is a result, for the sender of the order, by one of those whom the order names', () => {
  const [iss, aud] = [IDS.action, [IDS.mcp]];
  const result = { knd: 'tool.result', iss: IDS.mcp, aud: [IDS.action] } as const;
  expect(isAnswerTo({ iss, aud }, result)).toBe(true);
  expect(isAnswerTo({ iss, aud: ['spiffe://city.example/service/*'] }, result)).toBe(true);
  expect(isAnswerTo({ iss, aud }, { ...result, knd: 'act' })).toBe(false);
  expect(isAnswerTo({ iss, aud }, { ...result, aud: [IDS.llm] })).toBe(false);
  expect(isAnswerTo({ iss, aud }, { ...result, iss: IDS.action })).toBe(false);
  expect(isAnswerTo({ iss, aud: [IDS.llm] }, result)).toBe(false);
});
