import { randomBytes } from 'node:crypto';
import { recordHeaders } from '#bus/client/envelope.ts';
import { connectNats, outgoing } from '#bus/client/nats.ts';
import { appendSubject, replySubject, requestSubject, streamSubject } from '#bus/subjects.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import type { AgentHold } from '#scenarios/scenario.ts';
import { orderPayload, readingPayload } from './messages.ts';

/**
 * An agent's identity in other hands: its SVID and key, one connection to the broker with them, and
 * what its start message tells. Everything that it says goes over that connection, in order.
 */
export async function identifiedHold(start: StartMessage, source: X509Source): Promise<AgentHold> {
  const { self, members, natsUrl = '', brokerId = '', trustDomain } = start;
  const nats = await connectNats({
    source,
    url: natsUrl,
    brokerId: spiffeId(brokerId),
    random: Math.random,
    clock: Date.now,
  });
  const random = (size: number): Uint8Array => randomBytes(size);
  const signer = createRecordSigner({ source, clock: Date.now, random });
  const session = `hold-${randomBytes(4).toString('hex')}`;
  let row = 0;
  /** Its own latest reading: what an act needs for a cause. */
  let latest: RecordId | undefined;

  function publish(record: SignedRecord, payload: Uint8Array, subject: string, reply?: string) {
    nats.publish(subject, payload, {
      headers: outgoing(recordHeaders(record, { chain: true })),
      ...(reply !== undefined && { reply }),
    });
  }

  return {
    kind: 'code in an agent',
    self,
    members,
    read: async (at) => {
      row += 1;
      const payload = readingPayload(self, session, row, at);
      const sbj = streamSubject(self, 'reading');
      const record = signer.sign({ aud: receiversIn(start), sbj, knd: 'root', payload });
      publish(record, payload, sbj);
      publish(record, payload, appendSubject(self));
      latest = record.id;
      await nats.flush();
    },
    orderAs: async (victim, tool, given, strike) => {
      const payload = await orderPayload(tool, given);
      const sbj = requestSubject('mcp', victim);
      const rpl = replySubject(victim, 'mcp', randomBytes(8).toString('hex'));
      const rid = latest ?? '';
      const record = signer.sign({
        aud: [`spiffe://${trustDomain}/service/mcp`],
        sbj,
        rpl,
        knd: 'act',
        par: latest === undefined ? [] : [latest],
        payload,
        tool: { kind: 'mcp', model: tool, rid, signed: false },
      });
      strike();
      publish(record, payload, sbj, rpl);
      // A tool acts on a cause that the ledger holds; under its own name it may hand records in.
      publish(record, payload, appendSubject(self));
      await nats.flush();
    },
  };
}

/** Who gets its readings, by its own start message. */
function receiversIn({ config }: StartMessage): readonly string[] {
  const { receivers } = config as { receivers?: { reading?: readonly string[] } };
  return receivers?.reading ?? [];
}
