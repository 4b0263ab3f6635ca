import { setImmediate as turn } from 'node:timers/promises';
import { createRecordSigner } from '#custody/record/sign.ts';
import { createCertificateCache } from '../certificates.ts';
import { createDoor, type DoorRefusal } from '../door.ts';
import { receiptSubject } from '../subjects.ts';
import { note } from '../telemetry.ts';
import { createAcknowledger } from './acknowledger.ts';
import { createAnteroom, throughAnteroom } from './anteroom.ts';
import { type Consumer, createConsumer } from './consumer.ts';
import { openLink } from './link.ts';
import { createOwnRecords } from './own-records.ts';
import { createRequester } from './requester.ts';
import { createResponder, type Responder } from './responder.ts';
import { createSender } from './sender.ts';
import { createSigning } from './signing.ts';
import { createSubmitter } from './submitter.ts';
import type { BusClient, BusClientOptions } from './types.ts';
import { createBusWatch } from './watch.ts';

export type { BusClient, BusClientOptions, BusStatus } from './types.ts';

/** The first whole second that is not before `at`. */
function wholeSecond(at: number): number {
  return Math.ceil(at / 1000) * 1000;
}

const ACK_EVERY_MS = 250;
const TICK_MS = 500;

/**
 * Connects, and resolves when this process can be sent to. @throws Error when no connection stands
 * within `firstConnectMs`.
 */
export async function createBusClient(options: BusClientOptions): Promise<BusClient> {
  const { self, directory, source, clock, random, propagate, standing } = options;
  const uniform = () => Buffer.from(random(4)).readUInt32LE() / 2 ** 32;
  const startedAt = options.startedAt ?? clock();
  const link = await openLink({
    source,
    url: options.url,
    brokerId: options.brokerId,
    clock,
    random: uniform,
    ...(options.firstConnectMs === undefined ? {} : { firstConnectMs: options.firstConnectMs }),
  });
  const certificates = createCertificateCache({ bundles: () => source.bundles() });
  const signer = createRecordSigner({ source, clock, random });
  const { session } = signer;
  const signing = createSigning({ signer, defer: setImmediate });
  const door = (options.createDoor ?? createDoor)({
    self,
    directory,
    certificates,
    clock,
    startedAt,
    ...(standing === undefined
      ? {}
      : {
          isRevoked: (svid) => standing.judge(svid) === 'revoked',
          isLogged: (svid) => standing.judge(svid) !== 'unknown',
        }),
    ...(options.mayMake === undefined ? {} : { mayMake: options.mayMake }),
  });
  const room =
    standing && createAnteroom({ ...standing, awaits: door.awaits, now: () => performance.now() });
  const patient = room === undefined ? link : throughAnteroom(link, room);

  function onRefusal(refusal: DoorRefusal): void {
    own.refused(refusal);
    const presenter = directory.byToken(refusal.presentedBy ?? '')?.token;
    note('refused', { identity: self.id, refusal, presenter });
    options.onRefusal(refusal);
  }

  const submitter = createSubmitter({
    link,
    self,
    clock,
    limit: options.maxUnconfirmed ?? 2048,
    channel: door.channel({ subject: receiptSubject(self), kinds: ['ack'], reply: 'none' }),
    onAppended: ({ id, claims }) => watch.receipted(id, claims.sbj),
  });
  const { submit } = submitter;
  const own = createOwnRecords({ self, signing, submit, clock });
  const acks = `${self.district ?? 'platform'}.ack.*.${self.token}`;
  const sender = createSender({
    link,
    self,
    directory,
    session,
    signing,
    submit,
    clock,
    limit: options.maxOutstanding ?? 256,
    channel: door.channel({ subject: acks, kinds: ['ack'], reply: 'none' }),
    propagate,
  });
  const acknowledger = createAcknowledger({ link, self, session, signing, submit, clock });
  const requester = createRequester({
    link,
    self,
    directory,
    signing,
    submit,
    onRefusal,
    propagate,
    nonce: () => Buffer.from(random(16)).toString('base64url'),
    channel: door.channel({
      subject: `_INBOX.${self.token}.*.*`,
      kinds: ['tool.result'],
      reply: 'none',
    }),
  });
  const watch = createBusWatch({
    directory,
    tell: options.onAlarm ?? (() => {}),
    unacknowledged: sender.unacknowledged,
    withoutReceipt: submitter.withoutReceipt,
    random: uniform,
    now: () => performance.now(),
  });
  const consumers = new Map<string, Consumer>();
  const responders = new Map<string, Responder>();

  function tellRenewed(): void {
    try {
      note('renewed', { identity: self.id, svid: source.svid() });
    } catch {
      // Taken away again meanwhile.
    }
  }

  let subscribedAcks = false;
  patient.subscribe(`_INBOX.${self.token}.*.*`, undefined, (message) => {
    if (message.subject === receiptSubject(self)) {
      const refused = submitter.onReceipt(message);
      if (refused !== undefined) onRefusal(refused);
    } else requester.onReply(message);
  });
  const stopTrust = source.onUpdate(() => certificates.trustChanged());
  link.onRenewed((why) => {
    if (why === 'rotation') {
      tellRenewed();
      return;
    }
    submitter.resend();
    sender.resend();
    acknowledger.repeat();
  });
  const timers = [
    setInterval(() => acknowledger.flush(), ACK_EVERY_MS),
    setInterval(() => {
      submitter.tick();
      sender.tick();
      own.tell(false);
      watch.tick();
    }, TICK_MS),
  ];
  await link.flush();
  // `iat` counts whole seconds, so a door refuses what was signed in the second of its own start.
  // Who is told that this client is ready shall not meet that.
  const early = wholeSecond(startedAt) - clock();
  if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));

  return {
    self,
    session,
    link,
    sign: (draft) => signing.now(draft),
    async send(draft) {
      if (!subscribedAcks) {
        subscribedAcks = true;
        patient.subscribe(acks, undefined, (message) => {
          const refused = sender.onAck(message);
          if (refused !== undefined) onRefusal(refused);
        });
      }
      return sender.send({ ...draft, causes: own.join(draft.causes ?? []) });
    },
    async flush() {
      signing.flush();
      await sender.flush();
      await submitter.flush();
    },
    consume(consume) {
      if (consumers.has(consume.kind)) throw new Error(`${consume.kind} is consumed already`);
      const consumer = createConsumer({
        ...consume,
        link: patient,
        self,
        acknowledger,
        gaps: watch.gaps,
        onRefusal,
        propagate,
        member: (id) => directory.members.find((member) => member.id === id),
        channel: door.channel({
          subject: `${self.district ?? '*'}.${consume.kind}.*`,
          kinds: ['root', 'msg'],
          reply: 'broker',
        }),
      });
      consumers.set(consume.kind, consumer);
      return consumer;
    },
    request: async (draft) => requester.request({ ...draft, causes: own.join(draft.causes ?? []) }),
    async serve(serve) {
      const responder = createResponder({
        ...serve,
        link: patient,
        self,
        signing,
        submit,
        onRefusal,
        join: own.join,
        propagate,
        channel: door.channel({
          subject: `svc.${serve.service}.*`,
          kinds: ['tool.call', 'act', 'root'],
          reply: 'inbox',
          service: serve.service,
        }),
      });
      responders.set(serve.service, responder);
      await link.flush();
      return responder;
    },
    record: own.record,
    watchInclusion: watch.proveBy,
    joinCauses: own.join,
    status: () => ({
      session,
      link: link.status(),
      sent: sender.status(),
      ledger: submitter.status(),
      requests: requester.status(),
      consumed: [...consumers].map(([kind, consumer]) => ({ kind, ...consumer.status() })),
      served: [...responders].map(([service, served]) => ({ service, ...served.status() })),
      refusals: own.refusals(),
    }),
    async close() {
      room?.close();
      await Promise.all([...consumers.values()].map((consumer) => consumer.close()));
      await Promise.all([...responders.values()].map((responder) => responder.close()));
      for (const timer of timers) clearInterval(timer);
      watch.close();
      stopTrust();
      acknowledger.flush();
      own.tell(true);
      signing.flush();
      // What was signed now leaves in the microtasks after this.
      await turn();
      requester.close();
      const closed = new Error('the bus client was closed');
      sender.close(closed);
      submitter.close(closed);
      await link.close();
    },
  };
}
