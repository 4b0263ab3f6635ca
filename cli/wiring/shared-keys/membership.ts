import { randomBytes } from 'node:crypto';
import type { RecordId } from '#custody/record.ts';
import { accept } from '#identity/outcome.ts';
import type { joinSwarm as real } from '../membership.ts';
import { directoryOf, secretOf } from '../process.ts';
import { LOG_SUBJECT } from './codec.ts';
import { connectWithKey } from './connect.ts';
import { createMessages } from './messages.ts';
import { createRequests, serveRequests } from './requests.ts';

/** By the API key that all members have from their environment: here, from the start message. */
export const joinSwarm = (async ({ start }) => {
  const { self } = start;
  if (start.natsUrl === undefined) throw new Error('start message names no broker');
  const nats = await connectWithKey(start.natsUrl, secretOf(start, 'apiKey'));
  const options = {
    nats,
    self,
    directory: directoryOf(start),
    newId: () => randomBytes(32).toString('base64url') as RecordId,
    log: (what: string) => {
      nats.publish(LOG_SUBJECT, `${new Date().toISOString()} ${self.token} ${what}`);
    },
  };
  const messages = createMessages(options);
  const served: { close(): Promise<void> }[] = [];
  return {
    bus: {
      send: messages.send,
      consume: messages.consume,
      flush: messages.flush,
      ...createRequests(options),
    },
    serve: async (service, handle) => {
      served.push(serveRequests(options, service, handle));
      await nats.flush();
    },
    // There is no ledger: what was asked is as good as recorded.
    recorded: async () => accept(undefined),
    status: () => ({ sent: messages.status() }),
    close: async () => {
      await Promise.all(served.map((one) => one.close()));
      messages.close();
      await nats.drain();
    },
  };
}) satisfies typeof real;
