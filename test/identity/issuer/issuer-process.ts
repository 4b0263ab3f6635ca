import { createPublicKey } from 'node:crypto';
import { Socket } from 'node:net';
import { startIssuer } from '#identity/issuer/issuer.ts';

/** The issuer as a process of its own; the launcher's link is descriptor 4. */
const [folder = '', launcherKey = '', ciKey = ''] = process.argv.slice(2);
const key = (base64: string) =>
  createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
await startIssuer({
  stateDir: `${folder}/state`,
  socketPath: `${folder}/run/api.sock`,
  trustDomain: 'city.example',
  link: new Socket({ fd: 4 }),
  launcherKey: key(launcherKey),
  ciKeys: new Map([['ci-1', key(ciKey)]]),
  mintable: ['spiffe://city.example/platform/nats'],
});
process.stdout.write('ready\n');
