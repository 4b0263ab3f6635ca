import { createPublicKey } from 'node:crypto';
import { Socket } from 'node:net';
import { startIssuer } from '#identity/issuer/issuer.ts';
import { runProcess } from '../wiring/process.ts';
import { issuerConfigSchema } from './configs.ts';

/** Descriptor 4 is inherited at spawn: no other process can have its other end but the launcher. */
const LAUNCHER_LINK_FD = 4;

const spki = (base64: string) =>
  createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });

runProcess(async ({ start, report }) => {
  const config = issuerConfigSchema.parse(start.config);
  const issuer = await startIssuer({
    stateDir: config.stateDir,
    socketPath: start.workloadSocket,
    ...(config.sharedSocket && { socketMode: 0o666 }),
    trustDomain: start.trustDomain,
    link: new Socket({ fd: LAUNCHER_LINK_FD }),
    launcherKey: spki(config.launcherKey),
    ciKeys: new Map(Object.entries(config.ciKeys).map(([id, key]) => [id, spki(key)])),
    mintable: config.mintable,
    // The supervisor starts another one and tells it of entries and processes; see IssuerLink.attach.
    linkLost: () => {
      const detail = 'LINK_CLOSED: the link to the launcher has ended';
      report({ type: 'fatal', detail });
      process.stderr.write(`${detail}\n`);
      process.exit(1);
    },
    say: (line) => process.stderr.write(`${line}\n`),
  });
  return {
    close: () => issuer.close(),
    status: () => ({ attestation: issuer.capability }),
  };
});
