import { randomBytes } from 'node:crypto';
import { createAuthority } from '#identity/issuer/authority.ts';
import { createLeafIssuer } from '#identity/issuer/leaf-issuer.ts';
import { createKeyMaker } from '#identity/issuer/workload-key.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { call, openSession } from './raw-client.ts';

/** `node test/identity/issuer/measure.ts`: leaf issues per second on one core, and by the socket. */
const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
const id = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`);
const rate = (count: number, since: number): string =>
  `${Math.round((count * 1000) / (performance.now() - since))}/s`;

const makeKey = createKeyMaker();
const issueLeaf = createLeafIssuer();
const { spki: publicKey } = makeKey();
const warmUp = performance.now() + 1000;
while (performance.now() < warmUp) {
  issueLeaf({ id, publicKey, ttlSeconds: 20 }, authority, new Date(), randomBytes(16));
}
let since = performance.now();
for (let n = 0; n < 5000; n += 1) {
  issueLeaf({ id, publicKey, ttlSeconds: 20 }, authority, new Date(), randomBytes(16));
}
console.log(`leaf over a given key        ${rate(5000, since)}`);
since = performance.now();
for (let n = 0; n < 5000; n += 1) {
  const { spki } = makeKey();
  issueLeaf({ id, publicKey: spki, ttlSeconds: 20 }, authority, new Date(), randomBytes(16));
}
console.log(`key, leaf and PKCS#8         ${rate(5000, since)}`);

const bench = new Bench();
await bench.start();
await bench.attestSelf();
await bench.link.setEntries([sensorEntry()]);
const session = openSession(bench.socketPath);
const stream = call(session, 'FetchX509SVID');
await stream.next();
since = performance.now();
for (let n = 0; n < 500; n += 1) {
  // A changed entry makes a new SVID: attested, issued, logged with fsync, pushed.
  await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 20 + (n % 2) })]);
  await stream.next();
}
console.log(`entry change to pushed SVID  ${rate(500, since)} one at a time`);
stream.cancel();
await stream.status;
session.destroy();
await bench.link.setEntries([]);

const many = Array.from({ length: 200 }, (_one, n) =>
  sensorEntry({ spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/s-${n}` }),
);
const batch = openSession(bench.socketPath);
await call(batch, 'FetchX509SVID').status;
await bench.link.setEntries(many);
since = performance.now();
await call(batch, 'FetchX509SVID').next();
console.log(`200 SVIDs in one answer      ${rate(200, since)}`);
batch.destroy();

since = performance.now();
for (let n = 0; n < 300; n += 1) {
  const one = openSession(bench.socketPath);
  const first = call(one, 'FetchX509Bundles');
  await first.next();
  one.destroy();
}
console.log(`connect, attest, first push  ${rate(300, since)} one at a time`);
await bench.stop();
