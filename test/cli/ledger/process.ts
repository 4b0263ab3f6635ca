import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { LedgerConfig, WitnessConfig } from '#cli/processes/configs.ts';
import { ledgerSigner } from '#cli/wiring/custody-keys.ts';
import { storeImages } from '#cli/wiring/images.ts';
import { keysOf } from '#cli/wiring/pins.ts';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import { signStatement } from '#custody/log/statement.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import { loadBundle } from '#policy/bundle.ts';
import { keySecret } from '#runtime/key-file.ts';
import { type LaunchContext, launch } from '#runtime/launcher/launch.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { CustodyPins, FromChild } from '#runtime/process-protocol.ts';
import { createWitnessClient, type WitnessClient } from '#runtime/witness/client.ts';
import { noteSigner, ORIGIN } from '#test/custody/log/support.ts';
import { startWorkloadServer } from '#test/identity/support/workload-server.ts';
import { startMessage, tempFolder, value } from '#test/runtime/support.ts';
import { MEMBERS, startSwarm, type TestSwarm, TRUST_DOMAIN } from '#test/support/swarm.ts';

const NAMES = ['witness-1', 'witness-2', 'witness-3'] as const;
const QUORUM = 2;
const POLICY_FOLDER = new URL('../../../policy', import.meta.url).pathname;

export interface LedgerBench {
  readonly swarm: TestSwarm;
  readonly policy: LogPolicy;
  readonly witnesses: readonly WitnessBench[];
  /** Says that an SVID was issued, in every life of the ledger. */
  issued(svid: X509Svid): void;
  /** Resolves when the ledger is ready, or has ended without. */
  start(): Promise<RunningProcess>;
  /** What all lives of the ledger told over their channel. */
  readonly said: readonly FromChild[];
  clear(): Promise<void>;
}

export interface WitnessBench {
  readonly client: WitnessClient;
  process(): RunningProcess;
  start(): Promise<void>;
}

/** The ledger and its witnesses as a swarm runs them, each from its signed image, around a real broker. */
export async function createLedgerBench(): Promise<LedgerBench> {
  const { path, remove } = await tempFolder();
  await chmod(path, 0o711);
  const store = join(path, 'store');
  const { images } = await storeImages(store, undefined, ['ledger', 'witness']);
  const swarm = await startSwarm();
  await swarm.streams();
  const workload = await startWorkloadServer();
  const own = await swarm.ca.issue(MEMBERS.ledger.id);
  void serve(own);
  const attester = noteSigner(`${TRUST_DOMAIN}/attester`);
  const ledgerKey = keySecret(generateKeyPairSync('ed25519').privateKey);
  const log = ledgerSigner(ORIGIN, ledgerKey).verifier;
  const context: LaunchContext = {
    node: await realpath(process.execPath),
    store,
    logs: path,
    lifeline: await findLifeline(),
    attest: async () => ({ ok: true, value: {} }),
    exited: () => {},
  };
  const living = new Set<RunningProcess>();
  const said: FromChild[] = [];
  const statements: string[] = [];
  const vkeys = new Map<string, string>();

  async function serve(svid: X509Svid): Promise<void> {
    for (;;) {
      const stream = await workload.next();
      const [root] = swarm.ca.bundle.authorities;
      stream.send({
        svids: [
          {
            spiffeId: svid.id,
            x509Svid: Buffer.concat(svid.certificates),
            x509SvidKey: svid.key.export({ format: 'der', type: 'pkcs8' }),
            bundle: root?.raw ?? new Uint8Array(),
          },
        ],
      });
    }
  }

  function statementOf(svid: X509Svid): string {
    const [nbf, exp] = [svid.notBefore, svid.notAfter].map((at) => Math.floor(at.getTime() / 1000));
    return signStatement(
      {
        kind: 'issuance',
        id: svid.id as SpiffeId,
        thumbprint: svid.thumbprint,
        serial: svid.serial,
        nbf: nbf ?? 0,
        exp: exp ?? 0,
        selectors: [],
      },
      [attester],
    );
  }

  async function run(spec: Parameters<typeof launch>[0]): Promise<RunningProcess> {
    const running = value(await launch(spec, context));
    living.add(running);
    void running.exited.then(() => living.delete(running));
    return running;
  }

  const witnesses = await Promise.all(
    NAMES.map(async (name): Promise<WitnessBench> => {
      const folder = join(path, name);
      await mkdir(folder, { mode: 0o700 });
      const image = images.get('witness');
      if (image === undefined) throw new Error('no image');
      const socket = join(folder, 's');
      const config: WitnessConfig = {
        keyName: `${TRUST_DOMAIN}/${name}`,
        folder,
        socket,
        origin: ORIGIN,
        logKeys: [log.vkey],
      };
      let running: RunningProcess | undefined;
      const start = async (): Promise<void> => {
        const one = await run({
          name,
          image,
          hardening: 'sealed',
          ownFolders: [folder],
          start: () => startMessage(config, { members: [] }),
        });
        one.onMessage((message) => {
          if (message.type === 'witness') vkeys.set(name, message.vkey);
        });
        await one.ready;
        running = one;
      };
      await start();
      return {
        client: createWitnessClient({ name: config.keyName, socketPath: socket, timeoutMs: 1000 }),
        start,
        process: () => {
          if (running === undefined) throw new Error(`${name} does not run`);
          return running;
        },
      };
    }),
  );
  const pins: CustodyPins = {
    origin: ORIGIN,
    log: [log.vkey],
    witnesses: [...vkeys.values()].sort(),
    quorum: QUORUM,
    attester: attester.verifier.vkey,
    bootstrap: [],
  };
  const config: LedgerConfig = {
    witnesses: NAMES.map((name) => ({
      name: `${TRUST_DOMAIN}/${name}`,
      socket: join(path, name, 's'),
    })),
    logKeys: [log.vkey],
    rollovers: [],
  };
  const members = Object.values(MEMBERS);
  const bundle = Buffer.from(loadBundle(POLICY_FOLDER, undefined).bytes).toString('base64');
  const data = {
    trust_domain: TRUST_DOMAIN,
    members: Object.fromEntries(members.map(({ id, ...member }) => [id, member])),
    grants: Object.fromEntries(
      members.map(({ id }) => [id, { publish: [], consume: [], services: [] }]),
    ),
    tools: {},
    collections: {},
  };

  return {
    swarm,
    witnesses,
    said,
    policy: {
      origin: ORIGIN,
      log: keysOf(pins.log),
      witnesses: keysOf(pins.witnesses),
      quorum: QUORUM,
    },
    issued: (svid) => statements.push(statementOf(svid)),
    async start() {
      const image = images.get('ledger');
      if (image === undefined) throw new Error('no image');
      const running = await run({
        name: 'platform-ledger',
        image,
        hardening: 'sealed',
        start: () =>
          startMessage(config, {
            self: MEMBERS.ledger,
            members,
            trustDomain: TRUST_DOMAIN,
            workloadSocket: workload.path,
            natsUrl: swarm.broker.url,
            brokerId: swarm.broker.brokerId,
            policy: { bundle, data },
            custody: pins,
            standing: [statementOf(own), ...statements],
            secrets: { ledgerKey },
          }),
      });
      running.onMessage((message) => said.push(message));
      for (const note of statements) running.send({ type: 'statement', note });
      await Promise.race([running.ready, running.exited]);
      return running;
    },
    async clear() {
      for (const running of living) running.kill();
      await Promise.all([...living].map(({ exited }) => exited));
      await swarm.stop();
      await workload.close();
      await remove();
    },
  };
}
