import { randomBytes } from 'node:crypto';
import type { RecordId } from '#custody/record.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import type { AgentHold } from '#scenarios/scenario.ts';
import { encodeEnvelope, messageSubject, requestSubject } from '../../wiring/shared-keys/codec.ts';
import { connectWithKey } from '../../wiring/shared-keys/connect.ts';
import { orderPayload, readingPayload } from './messages.ts';

/** The key that all share, in other hands: whoever has it says who he is. */
export async function withKeyHold(start: StartMessage): Promise<AgentHold> {
  const { self, members, natsUrl = '', secrets } = start;
  const nats = await connectWithKey(natsUrl, secrets?.apiKey ?? '');
  const session = `hold-${randomBytes(4).toString('hex')}`;
  const newId = () => randomBytes(32).toString('base64url') as RecordId;
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
  let row = 0;
  let latest: RecordId | undefined;
  return {
    kind: 'code in an agent',
    self,
    members,
    read: async (at) => {
      row += 1;
      const id = newId();
      const body = text(readingPayload(self, session, row, at));
      nats.publish(
        messageSubject(self.district ?? 'platform', 'reading'),
        encodeEnvelope({ from: self.token, id, kind: 'root', causes: [], body }),
      );
      latest = id;
      await nats.flush();
    },
    orderAs: async (victim, tool, given, strike) => {
      const payload = await orderPayload(tool, given);
      const cause = latest ?? newId();
      const message = encodeEnvelope({
        from: victim.token,
        id: newId(),
        kind: 'act',
        causes: [cause],
        tool: { kind: 'mcp', model: tool, rid: cause, signed: false },
        body: text(payload),
      });
      strike();
      nats.publish(requestSubject('mcp'), message, { reply: `_INBOX.${session}` });
      await nats.flush();
    },
  };
}
