import { z } from 'zod';
import type { Member } from '#bus/directory.ts';
import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import { recordedProof } from '#custody/ledger/recorded.ts';
import type { RecordId } from '#custody/record.ts';
import { trustDomainOf } from '#identity/spiffe-id.ts';
import type { Decision, Policy } from '#policy/decision.ts';
import type { HeadKeeper } from './ledger-heads.ts';

const question = z.strictObject({ id: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });

/** `POST /recorded` → a `RecordedProof` that the ledger holds a record, or `{"index": null}`. */
export const RECORDED_PATH = '/recorded';

/**
 * The question may be there before its record, which comes in its turn: behind all that was sent
 * before it, seconds of it when files are read at full speed. Shorter than askers wait.
 */
const WAIT_MS = 8000;

function idIn({ body }: BusRequest): RecordId | undefined {
  try {
    return question.parse(JSON.parse(body)).id as RecordId;
  } catch {
    return undefined;
  }
}

const answer = (
  { id, allow, reasons, revision }: Decision,
  status: number,
  body: unknown,
): BusResponse => ({
  status,
  contentType: 'application/json',
  body: JSON.stringify(body),
  decision: { id, allow, reasons, revision },
});

/**
 * What the ledger answers on the bus: only proof that it holds a record. Who reads more reads the
 * entries themselves; each answer here is a record too, and a ledger must not feed itself.
 */
export async function answerLedgerQuery(
  ledger: Pick<Ledger, 'get'> & Pick<HeadKeeper, 'prove'>,
  policy: Policy,
  asker: Member,
  request: BusRequest,
  waitMs = WAIT_MS,
): Promise<BusResponse> {
  // Undefined where the ledger does not hold it, and then no agent's own.
  const by = ledger.get(idIn(request) ?? ('' as RecordId))?.record.claims.iss;
  const decision = policy.decide({
    subject: {
      type: asker.kind,
      id: asker.id,
      properties: { trust_domain: trustDomainOf(asker.id) },
    },
    action: { name: 'ledger/query', properties: {} },
    resource: {
      type: 'service',
      id: 'ledger',
      properties: { service: 'ledger', ...(by !== undefined && { record_by: by }) },
    },
    context: {},
  });
  if (!decision.allow) return answer(decision, 403, { error: { code: 'LEDGER_NOT_ALLOWED' } });
  if (request.method !== 'POST' || request.path !== RECORDED_PATH) {
    return answer(decision, 404, { error: { code: 'QUESTION_UNKNOWN' } });
  }
  const id = idIn(request);
  if (id === undefined) return answer(decision, 400, { error: { code: 'QUESTION_MALFORMED' } });
  const proof = await ledger.prove(id, waitMs);
  return answer(decision, 200, proof === undefined ? { index: null } : recordedProof(proof));
}
