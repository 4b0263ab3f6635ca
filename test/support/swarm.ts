import { randomBytes } from 'node:crypto';
import { type BusClient, type BusClientOptions, createBusClient } from '#bus/client/bus-client.ts';
import type { NatsConnection } from '#bus/client/nats.ts';
import type { GateCode } from '#bus/codes.ts';
import { createDirectory, type Member } from '#bus/directory.ts';
import type { DoorRefusal } from '#bus/door.ts';
import type { Admission } from '#bus/gate/callout.ts';
import { type Gate, type GateOptions, startGate } from '#bus/gate/gate.ts';
import { nkeyFromSeed } from '#bus/gate/nkey.ts';
import type { UserPermissions } from '#bus/gate/user-jwt.ts';
import { startLedgerFeed } from '#bus/ledger-feed.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { ensureStreams } from '#bus/streams.ts';
import { LEDGER_ENTRIES } from '#bus/subjects.ts';
import { createLedger, type Ledger } from '#custody/ledger/ledger.ts';
import type { Outcome } from '#identity/outcome.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { MEMBERS, TRUST_DOMAIN } from './members.ts';
import { startBroker, type TestBroker } from './nats.ts';
import {
  bundleSet,
  createTestCa,
  type LeafOptions,
  type TestCa,
  type TestSource,
  testSource,
} from './test-ca.ts';

export { agent, MEMBERS, platform, service, TRUST_DOMAIN } from './members.ts';

/** The grants that the policy gives these members, spelt out as the broker sees them. */
export function permissionsOf(member: Member): UserPermissions | undefined {
  const { token } = member;
  const own = [`custody.append.${token}`];
  const inbox = `_INBOX.${token}.>`;
  const pull = (stream: string) => [
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${token}`,
    `$JS.ACK.${stream}.${token}.>`,
  ];
  const d = member.district ?? 'platform';
  switch (member.role) {
    case 'sensor':
      return {
        publish: { allow: [...own, `${d}.reading.${token}`, `svc.ledger.${token}`] },
        subscribe: { allow: [inbox, `${d}.ack.*.${token}`] },
      };
    case 'analyzer':
      return {
        publish: {
          allow: [
            ...own,
            `${d}.ack.${token}.*`,
            `${d}.finding.${token}`,
            `svc.ledger.${token}`,
            `svc.llm.${token}`,
          ],
        },
        subscribe: { allow: [inbox, `${d}.ack.*.${token}`] },
      };
    case 'action':
      return {
        publish: {
          allow: [...own, `${d}.ack.${token}.*`, `svc.ledger.${token}`, `svc.mcp.${token}`],
        },
        subscribe: { allow: [inbox] },
      };
    case 'ledger':
      return {
        publish: {
          allow: [
            ...own,
            ...pull('APPEND'),
            '_INBOX.*.ledger.>',
            'ledger.entry',
            'ledger.checkpoint',
            '$JS.API.DIRECT.GET.LEDGER',
            '$JS.API.DIRECT.GET.CHECKPOINT',
          ],
        },
        subscribe: { allow: [inbox, 'svc.ledger.* svc-ledger'] },
      };
    default:
      if (member.kind !== 'service') return undefined;
      return {
        publish: { allow: [...own, `_INBOX.*.${member.name}.>`, `svc.ledger.${token}`] },
        subscribe: { allow: [inbox, `svc.${member.name}.* svc-${member.name}`] },
      };
  }
}

export interface TestLedger {
  readonly client: BusClient;
  readonly ledger: Ledger;
  readonly restored: number;
  close(): Promise<void>;
}

export interface TestSwarm {
  readonly ca: TestCa;
  readonly broker: TestBroker;
  readonly decisions: Outcome<Admission, GateCode>[];
  readonly permissions: Map<SpiffeId, UserPermissions>;
  readonly revoked: Set<SpiffeId>;
  gate(): Gate;
  stopGate(): Promise<void>;
  startGate(): Promise<void>;
  /** A source with a fresh SVID of the member, from the swarm's own CA or another. */
  source(member: Member, leaf?: LeafOptions, ca?: TestCa): Promise<ReturnType<typeof testSource>>;
  connection(source: ReturnType<typeof testSource>): {
    source: ReturnType<typeof testSource>;
    url: string;
    brokerId: SpiffeId;
    random: () => number;
    clock: () => number;
    connectMs: number;
  };
  /** The streams and consumers of the members, by the supervisor's connection. */
  streams(): Promise<void>;
  client(
    member: Member,
    more?: Partial<BusClientOptions>,
  ): Promise<{ client: BusClient; source: TestSource; refusals: DoorRefusal[] }>;
  /** A ledger process's insides: feed, storage and sequencer. */
  ledger(): Promise<TestLedger>;
  stop(): Promise<void>;
}

/** Broker and gate, both real, in front of an in-test CA. */
export async function startSwarm(
  options: {
    readonly federated?: readonly TestCa[];
    readonly members?: readonly Member[];
    readonly staticUsers?: readonly { readonly user: string; readonly password: string }[];
    /** Which certificates the gate believes; default: all that the CA signed and nobody revoked. */
    readonly standing?: GateOptions['standing'];
    /** From 0 to 1: where in the span of delays the gate, or a member, connects again. */
    readonly delays?: { readonly gate: () => number; readonly member: () => number };
    /** Short where brokers or gates are killed: until then waits who comes before the gate is back. */
    readonly handshakeSeconds?: number;
    /** In the place of the permissions that the members have. */
    readonly grants?: Pick<GateOptions, 'permissions' | 'malformed'>;
  } = {},
): Promise<TestSwarm> {
  const { delays } = options;
  const ca = await createTestCa(TRUST_DOMAIN);
  const broker = await startBroker({
    ca,
    ...(options.federated === undefined ? {} : { federated: options.federated }),
    ...(options.staticUsers === undefined ? {} : { staticUsers: options.staticUsers }),
    ...(options.handshakeSeconds && { handshakeSeconds: options.handshakeSeconds }),
  });
  const members = options.members ?? Object.values(MEMBERS);
  const directory = createDirectory(members);
  const bundles = bundleSet(ca, ...(options.federated ?? []));
  const decisions: Outcome<Admission, GateCode>[] = [];
  const permissions = new Map<SpiffeId, UserPermissions>();
  for (const member of members) {
    const granted = permissionsOf(member);
    if (granted !== undefined) permissions.set(member.id, granted);
  }
  const revoked = new Set<SpiffeId>();
  const everything: GateOptions['standing'] = {
    judge: ({ id }) => (revoked.has(id) ? 'revoked' : 'standing'),
    watch: () => () => {},
  };
  const source: TestSwarm['source'] = async (member, leaf, issuer = ca) =>
    testSource(await issuer.issue(member.id, leaf), bundles);
  const connection: TestSwarm['connection'] = (from) => ({
    source: from,
    url: broker.url,
    brokerId: spiffeId(broker.brokerId),
    random: Math.random,
    clock: Date.now,
    // Where brokers are killed, who is met in a handshake shall notice as soon as in the product.
    connectMs: options.handshakeSeconds === undefined ? 15_000 : 10_000,
  });
  let gate: Gate | undefined;
  const start = async () => {
    const [nkeySeed = ''] = broker.gateSeeds;
    gate = await startGate({
      connection: {
        ...connection(await source(MEMBERS.gate)),
        nkeySeed,
        ...(delays && { random: delays.gate }),
      },
      issuer: nkeyFromSeed('account', broker.issuerSeed),
      member: (id) => directory.byId(id),
      ...(options.grants ?? { permissions: (id) => permissions.get(id) }),
      standing: options.standing ?? everything,
      onDecision: (outcome) => decisions.push(outcome),
    });
  };
  const client: TestSwarm['client'] = async (member, more) => {
    const from = await source(member);
    const refusals: DoorRefusal[] = [];
    const made = await createBusClient({
      ...connection(from),
      self: member,
      directory,
      random: delays === undefined ? randomOf : (size) => drawn(size, delays.member()),
      onRefusal: (refusal) => refusals.push(refusal),
      ...more,
    });
    return { client: made, source: from, refusals };
  };
  await start();
  return {
    client,
    streams: async () =>
      ensureStreams(
        { ...connection(await source(MEMBERS.supervisor)), nkeySeed: broker.operatorSeed },
        {
          kinds: ['reading', 'finding'],
          districts: ['north'],
          receivers: members.flatMap((member) =>
            member.role === 'analyzer'
              ? [{ member, kinds: ['reading'] }]
              : member.role === 'action'
                ? [{ member, kinds: ['finding'] }]
                : [],
          ),
          ledger: MEMBERS.ledger,
        },
      ),
    ledger: async () => {
      const { client: own } = await client(MEMBERS.ledger);
      const storage = createStreamStorage({
        link: own.link,
        self: MEMBERS.ledger,
        stream: LEDGER_ENTRIES,
        nonce: randomBytes(8).toString('hex'),
      });
      const ledger = createLedger({
        verify: (chain, at) => verifyX509Svid(chain, bundles, at),
        storage,
        clock: Date.now,
      });
      const restored = await ledger.restore(storage.read());
      if (!restored.ok) throw new Error(restored.detail);
      const { link, sign } = own;
      const feed = startLedgerFeed({ link, self: MEMBERS.ledger, directory, ledger, sign });
      return {
        client: own,
        ledger,
        restored: restored.value,
        close: async () => {
          await feed.close();
          await own.close();
        },
      };
    },
    ca,
    broker,
    decisions,
    permissions,
    revoked,
    gate: () => {
      if (gate === undefined) throw new Error('no gate');
      return gate;
    },
    startGate: start,
    stopGate: async () => {
      await gate?.close();
      gate = undefined;
    },
    source,
    connection,
    stop: async () => {
      await gate?.close();
      await broker.stop();
    },
  };
}

/** A client draws its delays from four bytes; ids and salts are longer, and stay random. */
function drawn(size: number, at: number): Uint8Array {
  if (size !== 4) return randomOf(size);
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(Math.floor(at * (2 ** 32 - 1)));
  return bytes;
}

export function randomOf(size: number): Uint8Array {
  return randomBytes(size);
}

/** The next permission violation that the broker reports on a connection. */
export async function violation(nats: NatsConnection): Promise<string> {
  for await (const event of nats.status()) {
    if (event.type === 'error') return event.error.message;
  }
  throw new Error('the connection ended without a violation');
}
