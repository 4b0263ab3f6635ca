// The receiving end of `end-to-end.ts`, a process of its own as a member of a swarm is: subscribes,
// judges what arrives where it is told to, and says when all of it is there.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { createCertificateCache } from '#bus/certificates.ts';
import { incoming } from '#bus/client/nats.ts';
import { createDirectory } from '#bus/directory.ts';
import { createDoor } from '#bus/door.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, TRUST_DOMAIN } from '#test/support/members.ts';
import { testSource } from '#test/support/test-ca.ts';

/** Whom to be, and where to connect. Keys are of a test's own authority. */
export interface Setup {
  readonly url: string;
  readonly brokerId: string;
  readonly user: string;
  readonly password: string;
  readonly root: string;
  readonly svid: Omit<X509Svid, 'key' | 'certificates' | 'notBefore' | 'notAfter'> & {
    readonly key: string;
    readonly certificates: readonly string[];
  };
}

/** Where messages are published, and where they arrive. */
export interface Road {
  readonly name: string;
  readonly publish: string;
  readonly arrive: string;
  readonly reply: 'none' | 'broker';
}

export interface Task {
  readonly road: Road;
  readonly total: number;
  /** By a door, every message; else only counted. */
  readonly judged: boolean;
}

/** `ready`: subscribed. `arrived`: all of them, and every judged one was genuine. */
export type Report = 'connected' | 'ready' | 'arrived' | { readonly failed: string };

const report = (what: Report): void => void process.send?.(what);

function sourceOf({ svid, root }: Setup) {
  const authorities = [new X509Certificate(Buffer.from(root, 'base64'))];
  const bundles = new Map([[TRUST_DOMAIN, { trustDomain: TRUST_DOMAIN, authorities }]]);
  const certificates = svid.certificates.map((der) => Buffer.from(der, 'base64'));
  const [leaf] = certificates;
  if (leaf === undefined) throw new Error('no certificate');
  const { validFromDate: notBefore, validToDate: notAfter } = new X509Certificate(leaf);
  const key = createPrivateKey(svid.key);
  return testSource({ ...svid, certificates, notBefore, notAfter, key }, bundles);
}

async function receive(setup: Setup): Promise<void> {
  const source = sourceOf(setup);
  const nats = await connect({
    servers: setup.url,
    tls: clientTls(source, spiffeId(setup.brokerId)),
    user: setup.user,
    pass: setup.password,
    noAsyncTraces: true,
  });

  async function take({ road, total, judged }: Task): Promise<void> {
    const channel = createDoor({
      self: MEMBERS.analyzer,
      directory: createDirectory(Object.values(MEMBERS)),
      certificates: createCertificateCache({ bundles: () => source.bundles() }),
      clock: Date.now,
      startedAt: 0,
    }).channel({ subject: road.publish, kinds: ['root'], reply: road.reply });
    let arrived = 0;
    const subscription = nats.subscribe(road.arrive, {
      callback: (_error, message) => {
        const verdict = judged ? channel.check(incoming(message)) : undefined;
        if (verdict?.ok === false) report({ failed: `${verdict.code}: ${verdict.detail}` });
        arrived += 1;
        if (arrived !== total) return;
        subscription.unsubscribe();
        report('arrived');
      },
    });
    await nats.flush();
    report('ready');
  }

  process.on('message', (task: Task) => void take(task));
  process.once('disconnect', () => void nats.close());
  report('connected');
}

process.once('message', (setup: Setup) => {
  receive(setup).catch((error: unknown) => report({ failed: String(error) }));
});
