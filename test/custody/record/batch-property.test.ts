import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalise } from '#custody/canonical.ts';
import { isWorkloadId } from '#custody/record/audience.ts';
import { createBatchCache } from '#custody/record/batch.ts';
import { checkRecord, type RecordFacts } from '#custody/record/check.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import { parseSpiffeId, pathOf } from '#identity/spiffe-id.ts';
import { createTestSwarm, IDS } from '../support.ts';

const swarm = await createTestSwarm();
const known = swarm.verify(swarm.svid('sensor').certificates, new Date(swarm.clock()));
if (!known.ok) throw new Error(known.code);
const svid = known.value;

const visible = fc.stringMatching(/^[!-~]{1,40}$/);
const drafts: fc.Arbitrary<RecordDraft[]> = fc.array(
  fc
    .record({
      aud: fc.constantFrom([IDS.analyzer], ['spiffe://city.example/agent/analyzer/north/*']),
      sbj: fc.stringMatching(/^[a-z0-9]{1,12}$/),
      payload: fc.uint8Array({ maxLength: 100 }),
      tool: fc.option(
        // Members in another order than that of the text.
        fc.record({
          signed: fc.constant(false as const),
          rid: visible,
          model: visible,
          kind: visible,
        }),
        { nil: undefined },
      ),
      txn: fc.option(visible, { nil: undefined }),
    })
    .map(({ tool, txn, ...rest }) => ({
      ...rest,
      knd: 'msg' as const,
      ...(tool !== undefined && { tool }),
      ...(txn !== undefined && { txn }),
    })),
  { minLength: 1, maxLength: 70 },
);

function judge(jws: string, facts: Partial<RecordFacts>): string {
  const record = parseRecord(jws, facts.batches);
  if (!record.ok) return record.code;
  const verdict = checkRecord(record.value, {
    svid,
    now: swarm.clock(),
    self: IDS.analyzer,
    ...facts,
  });
  return verdict.ok ? `ok ${verdict.value.gap}` : verdict.code;
}

/** A receiver from its first message on. */
function receiver(): Partial<RecordFacts> {
  const replays = createReplayCache({ clock: swarm.clock });
  return { replays, sequences: createSequenceTracker() };
}

describe('properties of batches', () => {
  it('each record is canonical, and what was drafted', () => {
    fc.assert(
      fc.property(drafts, (list) => {
        for (const [at, { jws, id }] of swarm.signer('sensor').signBatch(list).entries()) {
          const record = parseRecord(jws);
          if (!record.ok) throw new Error(record.code);
          const { payload, ...claims } = list[at] ?? { payload: undefined };
          expect(record.value).toMatchObject({ id, claims });
          const text = Buffer.from(jws.split('~')[0] ?? '', 'base64url').toString();
          expect(canonicalise(record.value.claims)).toBe(text);
          expect(payload).toBeDefined();
        }
      }),
      { numRuns: 40 },
    );
  });

  it('in any order, and again, each has the verdict of one that was signed alone', () => {
    const order = fc.array(fc.nat({ max: 69 }), { minLength: 1, maxLength: 150 });
    fc.assert(
      fc.property(drafts, order, (list, picks) => {
        const batch = swarm.signer('sensor').signBatch(list);
        const one = swarm.signer('sensor');
        const singles = list.map((draft) => one.sign(draft));
        const [together, alone] = [receiver(), receiver()];
        const remembering = { ...receiver(), batches: createBatchCache() };
        for (const pick of picks.map((at) => at % list.length)) {
          const wanted = judge(singles[pick]?.jws ?? '', alone);
          expect(judge(batch[pick]?.jws ?? '', together)).toBe(wanted);
          expect(judge(batch[pick]?.jws ?? '', remembering)).toBe(wanted);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('whoever remembers the batch finds in an altered record what anybody else does', () => {
    const change = fc.record({
      at: fc.nat({ max: 69 }),
      part: fc.nat({ max: 3 }),
      spot: fc.nat(),
      bit: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(drafts, fc.array(change, { maxLength: 20 }), (list, changes) => {
        const batch = swarm.signer('sensor').signBatch(list);
        const remembering = { batches: createBatchCache() };
        for (const { jws } of batch) expect(judge(jws, remembering)).toBe('ok 0');
        for (const { at, part, spot, bit } of changes) {
          const parts = (batch[at % batch.length]?.jws ?? '').split('~');
          const text = parts[part] ?? '';
          // A batch of one has no path.
          const index = text === '' ? 0 : spot % text.length;
          const letter = String.fromCharCode((text.charCodeAt(index) || 65) ^ (1 << bit));
          parts[part] = text.slice(0, index) + letter + text.slice(index + 1);
          const altered = parts.join('~');
          const verdict = judge(altered, {});
          expect(verdict).not.toMatch(/^ok/);
          expect(judge(altered, remembering)).toBe(verdict);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('an ID of a workload is what the parser of IDs takes, with a path', () => {
    const near = fc
      .array(
        fc.constantFrom('spiffe://', 'td', '.', '..', '/', 'A', 'é', '%', ' ', '\n', '_', '*'),
        {
          maxLength: 8,
        },
      )
      .map((parts) => parts.join(''));
    const text = fc.oneof(
      fc.string(),
      near,
      near.map((rest) => `spiffe://td/${rest}`),
    );
    fc.assert(
      fc.property(text, (id) => {
        const parsed = parseSpiffeId(id);
        expect(isWorkloadId(id)).toBe(parsed.ok && pathOf(parsed.value) !== '');
      }),
      { numRuns: 2000 },
    );
    for (const [name, wanted] of [
      ['a'.repeat(2036), true],
      ['a'.repeat(2037), false],
    ] as const) {
      const id = `spiffe://td/${name}`;
      expect([id.length <= 2048, isWorkloadId(id), parseSpiffeId(id).ok]).toEqual([
        wanted,
        wanted,
        wanted,
      ]);
    }
  });
});
