import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeHeaders, encodeHeaders } from '#custody/headers.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import { createSvidCache } from '#custody/svid-cache.ts';
import { createTestSwarm, IDS, type Message, receive } from '../support.ts';

const swarm = await createTestSwarm();
const svids = createSvidCache({ verify: swarm.verify });
const id256 = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('base64url'));
const token = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);

const drafts: fc.Arbitrary<RecordDraft> = fc
  .record({
    aud: fc.constantFrom([IDS.analyzer], ['spiffe://city.example/agent/analyzer/north/*']),
    sbj: fc.array(token, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
    knd: fc.constantFrom('msg' as const, 'ack' as const),
    par: fc.uniqueArray(id256, { maxLength: 16 }),
    payload: fc.uint8Array({ maxLength: 2000 }),
    txn: fc.option(fc.stringMatching(/^[!-~]{1,128}$/), { nil: undefined }),
    tth: fc.option(id256, { nil: undefined }),
  })
  .map(({ txn, tth, par, ...draft }) => ({
    ...draft,
    par: par as unknown as NonNullable<RecordDraft['par']>,
    ...(txn !== undefined && { txn }),
    ...(tth !== undefined && { tth }),
  }));

const signer = swarm.signer('sensor');
function send(draft: RecordDraft): Message {
  const record = signer.sign(draft);
  const headers = encodeHeaders(record, { chain: true }).map(
    ([name, value]) => [name, [value]] as const,
  );
  return { headers, subject: draft.sbj, reply: null, payload: draft.payload };
}
const take = (message: Message) =>
  receive(message, IDS.analyzer, svids, { now: swarm.clock(), receiverStart: 0 });

describe('properties of the record', () => {
  it('what is signed is accepted, with the claims that were drafted', () => {
    fc.assert(
      fc.property(drafts, (draft) => {
        const result = take(send(draft));
        if (!result.ok) throw new Error(`${result.code}: ${result.detail}`);
        const { payload, ...claims } = draft;
        expect(result.value.claims).toMatchObject({ ...claims, iss: IDS.sensor });
        expect(payload).toBe(draft.payload);
      }),
      { numRuns: 200 },
    );
  });

  it('a changed character of any header, or bit of the payload, is refused and never throws', () => {
    const spot = fc.record({ at: fc.nat(), bit: fc.integer({ min: 0, max: 6 }) });
    fc.assert(
      fc.property(drafts, fc.nat({ max: 3 }), spot, (draft, part, { at, bit }) => {
        const honest = send(draft);
        const header = honest.headers[part];
        if (header !== undefined) {
          const value = header[1][0] ?? '';
          const index = at % value.length;
          const flipped = String.fromCharCode(value.charCodeAt(index) ^ (1 << bit));
          const changed = value.slice(0, index) + flipped + value.slice(index + 1);
          const headers = honest.headers.map((other) =>
            other === header ? ([other[0], [changed]] as const) : other,
          );
          const fresh = createSvidCache({ verify: swarm.verify });
          const facts = { now: swarm.clock(), receiverStart: 0 };
          expect(receive({ ...honest, headers }, IDS.analyzer, fresh, facts).ok).toBe(false);
        } else if (draft.payload.length > 0) {
          const payload = Uint8Array.from(draft.payload);
          const index = at % payload.length;
          payload[index] = (payload[index] ?? 0) ^ (1 << bit);
          expect(take({ ...honest, payload })).toMatchObject({ code: 'RECORD_PAYLOAD_MISMATCH' });
        }
      }),
      { numRuns: 400 },
    );
  });

  it('any text is refused without an exception', () => {
    const b64 = fc
      .string({ unit: 'binary' })
      .map((text) => Buffer.from(text).toString('base64url'));
    const json = fc.json().map((text) => Buffer.from(text).toString('base64url'));
    const header = Buffer.from(
      `{"alg":"ES256","typ":"custody+jwt","x5t#S256":"${'A'.repeat(43)}"}`,
    ).toString('base64url');
    const jws = fc
      .tuple(fc.constantFrom(header, 'e30', ''), fc.oneof(b64, json), fc.constant('A'.repeat(86)))
      .map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), jws), (input) => {
        expect(parseRecord(input).ok).toBe(false);
        expect(decodeHeaders([['Custody', [input]]]).ok).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('huge and deep inputs are refused without an exception', () => {
    const header = send({
      aud: [IDS.analyzer],
      sbj: 'a',
      knd: 'msg',
      payload: new Uint8Array(),
    }).headers[0]?.[1][0]?.split('.')[0];
    for (const claims of [
      '['.repeat(10_000),
      '{"a":'.repeat(2000),
      `"${'x'.repeat(10_000)}"`,
      '9'.repeat(9000),
    ]) {
      const body = Buffer.from(claims).toString('base64url');
      expect(parseRecord(`${header}.${body}.${'A'.repeat(86)}`).ok).toBe(false);
    }
    const deep = Buffer.from(`${'['.repeat(5000)}${']'.repeat(5000)}`).toString('base64url');
    expect(parseRecord(`${header}.${deep}.${'A'.repeat(86)}`)).toMatchObject({
      code: 'RECORD_NOT_CANONICAL',
    });
    expect(parseRecord('.'.repeat(10_000_000))).toMatchObject({ code: 'RECORD_TOO_LARGE' });
  });
});
