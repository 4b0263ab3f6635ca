import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { type Duplex, duplexPair } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { signAttestation, verifyAttestation } from '#identity/issuer/attestation.ts';
import {
  type Attestation,
  type AttestationClaims,
  attestationSigningInput,
  connectLauncherLink,
  imageSigningInput,
} from '#identity/issuer/launcher-link.ts';
import {
  type LinkHandlers,
  type LinkServer,
  serveLauncherLink,
} from '#identity/issuer/link-server.ts';
import { DETAIL_CHARACTERS } from '#identity/issuer/shown.ts';
import { accept, refuse } from '#identity/outcome.ts';
import { Bench, DIGEST, keyPair, sensorEntry, TRUST_DOMAIN } from './harness.ts';
import { fetchOnce, GRPC } from './raw-client.ts';

const NATS = `spiffe://${TRUST_DOMAIN}/platform/nats`;
const spki = (key = keyPair().publicKey) =>
  key.export({ type: 'spki', format: 'der' }).toString('base64');

describe('launcher link against a running issuer', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
  });
  afterEach(() => bench.stop());

  test('an attestation by another key than the pinned one is refused', async () => {
    const [near, far] = duplexPair();
    const other = new Bench();
    await other.start({ link: far });
    const stranger = connectLauncherLink(near, keyPair().privateKey);
    const claims = bench.claims(process.pid);
    expect(await stranger.attest(claims)).toMatchObject({ code: 'ATTESTATION_SIGNATURE' });
    stranger.close();
    await other.stop();
    expect(await bench.link.attest(claims)).toMatchObject({ ok: true });
  });

  test('entries are taken as a whole or not at all', async () => {
    await bench.attestSelf();
    await bench.link.setEntries([sensorEntry()]);
    const bad = [sensorEntry({ id: 'good' }), sensorEntry({ x509_svid_ttl: 1 })];
    expect(await bench.link.setEntries(bad)).toMatchObject({ code: 'ENTRY_INVALID' });
    const twice = [sensorEntry(), sensorEntry()];
    expect(await bench.link.setEntries(twice)).toMatchObject({ code: 'ENTRY_INVALID' });
    expect(await fetchOnce(bench.socketPath)).toEqual([sensorEntry().spiffe_id]);
    await bench.link.setEntries([]);
    expect(await fetchOnce(bench.socketPath)).toBe(GRPC.permissionDenied);
  });

  test('pinned identities are minted over the launcher’s key, others are not', async () => {
    const { publicKey } = keyPair();
    const issued = new Promise((resolve) => bench.link.on('issued', resolve));
    const request = {
      publicKey: spki(publicKey),
      ttl: 3600,
      dns: ['localhost'],
      ip: ['127.0.0.1'],
    };
    const minted = await bench.link.mint({ spiffeId: NATS, ...request });
    const bundle = await bench.link.bundle();
    if (!minted.ok || !bundle.ok) throw new Error('refused');
    const leaf = new X509Certificate(minted.value.chain[0] ?? new Uint8Array());
    const root = new X509Certificate(bundle.value.authorities[0] ?? new Uint8Array());
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect(leaf.publicKey.equals(publicKey)).toBe(true);
    expect(leaf.subjectAltName).toBe(`URI:${NATS}, DNS:localhost, IP Address:127.0.0.1`);
    expect(leaf.validToDate).toEqual(minted.value.notAfter);
    expect(await issued).toMatchObject({
      spiffeId: NATS,
      serial: leaf.serialNumber.toLowerCase(),
    });

    const mint = (changes: object) => bench.link.mint({ spiffeId: NATS, ...request, ...changes });
    const agent = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`;
    expect(await mint({ spiffeId: agent })).toMatchObject({ code: 'MINT_NOT_PINNED' });
    expect(await mint({ spiffeId: `${NATS}/` })).toMatchObject({ code: 'MINT_NOT_PINNED' });
    expect(await mint({ publicKey: 'AAAA' })).toMatchObject({ code: 'MINT_KEY_INVALID' });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    expect(await mint({ publicKey: spki(rsa) })).toMatchObject({ code: 'MINT_KEY_INVALID' });
    expect(await mint({ dns: ['*'] })).toMatchObject({ code: 'LEAF_INVALID' });
  });

  test('an entry with an endless SPIFFE ID is refused with the reason, and the link stays', async () => {
    const spiffe_id = `spiffe://${TRUST_DOMAIN}/${'a'.repeat(4090)}`.slice(0, 4090);
    const added = await bench.link.addEntries([sensorEntry({ spiffe_id })]);
    expect(added).toMatchObject({ code: 'ENTRY_INVALID', detail: expect.stringContaining('2048') });
    const { detail } = added as { detail: string };
    expect(detail.length).toBeLessThanOrEqual(DETAIL_CHARACTERS);
    const unknown = await bench.link.removeEntry('x'.repeat(4096));
    expect(unknown).toMatchObject({ code: 'ENTRY_UNKNOWN' });
    expect(await bench.link.addEntries([sensorEntry()])).toMatchObject({ ok: true });
  });

  test('an issuer tells that its link was lost, but not when it ends itself', async () => {
    const lost = Promise.withResolvers<string>();
    const other = new Bench();
    await other.start({ linkLost: () => lost.resolve('lost') });
    other.link.close();
    expect(await lost.promise).toBe('lost');
    await other.stop();
    const orderly = new Bench();
    const told: string[] = [];
    const issuer = await orderly.start({ linkLost: () => told.push('lost') });
    await issuer.close();
    await orderly.link.closed;
    expect(told).toEqual([]);
    rmSync(orderly.folder, { recursive: true });
  });

  test('after the end every call answers LINK_CLOSED', async () => {
    const asked = bench.link.bundle();
    bench.link.close();
    expect(await asked).toMatchObject({ code: 'LINK_CLOSED' });
    expect(await bench.link.setEntries([])).toMatchObject({ code: 'LINK_CLOSED' });
    await bench.link.closed;
  });
});

describe('launcher link protocol', () => {
  const idle: LinkHandlers = {
    attest: () => accept({}),
    exited: () => {},
    entries: () => accept({}),
    mint: () => accept({ chain: [], notAfter: '2026-01-01T00:00:00Z' }),
    bundle: () => ({ trustDomain: TRUST_DOMAIN, authorities: [] }),
    listEntries: () => ({ entries: [], total: 0 }),
    addEntries: () => accept({ entries: [], total: 0 }),
    removeEntry: () => accept({ entries: [], total: 0 }),
    issued: () => ({ rows: [], head: { seq: 0, hash: '' } }),
    bundleDocument: () => accept({ trustDomain: TRUST_DOMAIN, document: '{}' }),
    joinToken: async () => refuse('TOKEN_LIFETIME', 'none'),
    listNodes: () => ({ nodes: [] }),
    evictNode: () => accept({ nodes: [] }),
    pending: (after) => ({ rows: [], upTo: after }),
    acknowledge: () => {},
    authorities: () => ({ authorities: [] }),
    closed: () => {},
  };
  function open(handlers: Partial<LinkHandlers> = {}): { near: Duplex; closed: Promise<void> } {
    const [near, far] = duplexPair();
    const { promise, resolve } = Promise.withResolvers<void>();
    serveLauncherLink(far, { ...idle, ...handlers, closed: resolve });
    return { near, closed: promise };
  }

  test.each([
    ['no JSON', 'hello\n'],
    ['an unknown operation', '{"op":"shutdown","ref":1}\n'],
    ['an unknown member', '{"op":"bundle","ref":1,"more":1}\n'],
    ['a negative ref', '{"op":"bundle","ref":-1}\n'],
    ['PID 0', '{"op":"exited","ref":1,"pid":0,"startTime":5}\n'],
    ['bytes that are not UTF-8', Buffer.from('ff0a', 'hex')],
    ['an endless line', Buffer.alloc(5 * 1024 * 1024, 0x61)],
  ])('%s ends the link', async (_name, bytes) => {
    const good = open();
    good.near.write('{"op":"bundle","ref":7}\n');
    const [answer] = await once(good.near, 'data');
    expect(JSON.parse(String(answer))).toMatchObject({ ref: 7, ok: true });
    const bad = open();
    bad.near.on('error', () => {});
    bad.near.write(bytes);
    await bad.closed;
    good.near.destroy();
  });

  test('messages may be cut anywhere', async () => {
    const seen: number[] = [];
    const { near } = open({ exited: (pid) => seen.push(pid) });
    const lines = [1, 2, 3].map(
      (pid) => `{"op":"exited","ref":${pid},"pid":${pid},"startTime":1}\n`,
    );
    for (const byte of Buffer.from(lines.join(''))) near.write(Buffer.of(byte));
    near.resume();
    near.end();
    await once(near, 'close');
    expect(seen).toEqual([1, 2, 3]);
  });

  test('whatever a stranger made long, details that go to the launcher are short', async () => {
    const [near, far] = duplexPair();
    const server: LinkServer = serveLauncherLink(far, {
      ...idle,
      removeEntry: () => refuse('ENTRY_UNKNOWN', 'y'.repeat(100_000)),
      bundleDocument: () => accept({ trustDomain: '', document: 'z'.repeat(5 * 1024 * 1024) }),
      closed: () => {},
    });
    const link = connectLauncherLink(near, keyPair().privateKey);
    const denied = new Promise((resolve) => link.on('denied', resolve));
    server.emit({ event: 'denied', pid: 4, detail: 'x'.repeat(100_000) });
    expect(await denied).toMatchObject({ pid: 4, detail: expect.stringMatching(/^x{299}…$/) });
    expect(await link.removeEntry('e')).toMatchObject({
      code: 'ENTRY_UNKNOWN',
      detail: expect.stringMatching(/^y{299}…$/),
    });
    expect(await link.bundleDocument()).toMatchObject({ code: 'LINK_MALFORMED' });
    expect(await link.bundle()).toMatchObject({ ok: true });
    server.close();
  });

  test.each([
    ['an event without form', '{"event":"issued","spiffeId":7}'],
    ['an event that is too long', JSON.stringify({ event: 'issued', spiffeId: 'x'.repeat(9999) })],
  ])('%s is passed over: the link and what is asked over it stay', async (_name, line) => {
    const [near, far] = duplexPair();
    const link = connectLauncherLink(near, keyPair().privateKey);
    const asked = link.bundle();
    far.write(`${line}\n{"ref":1,"ok":true,"value":{"trustDomain":"t","authorities":[]}}\n`);
    expect(await asked).toMatchObject({ ok: true });
    link.close();
  });

  test.each([
    ['without a code', '{"ref":1,"ok":false}'],
    ['with more in it', '{"ref":1,"ok":true,"value":{},"more":1}'],
    ['of another question', '{"ref":1,"ok":true,"value":7}'],
  ])('an answer %s settles its question alone', async (_name, line) => {
    const [near, far] = duplexPair();
    const link = connectLauncherLink(near, keyPair().privateKey);
    const [first, second] = [link.bundle(), link.bundle()];
    far.write(`${line}\n`);
    expect(await first).toMatchObject({ code: 'LINK_MALFORMED' });
    far.write('{"ref":2,"ok":true,"value":{"trustDomain":"t","authorities":[]}}\n');
    expect(await second).toMatchObject({ ok: true });
    link.close();
  });

  test.each([
    ['is no JSON', 'hello'],
    ['is neither event nor answer', '{"pid":4}'],
  ])('what an issuer says that %s ends the link', async (_name, line) => {
    const [near, far] = duplexPair();
    const link = connectLauncherLink(near, keyPair().privateKey);
    far.write(`${line}\n`);
    await link.closed;
    expect(await link.bundle()).toMatchObject({ code: 'LINK_CLOSED' });
  });

  test('an issuer that answers what was not asked is cut off', async () => {
    const [near, far] = duplexPair();
    const link = connectLauncherLink(near, keyPair().privateKey);
    far.write('{"ref":99,"ok":true,"value":{}}\n');
    await link.closed;
    expect(await link.bundle()).toMatchObject({ code: 'LINK_CLOSED' });
  });
});

describe('signed statements', () => {
  const claims: AttestationClaims = {
    pid: 5,
    startTime: 6,
    exe: { path: '/n', dev: '1', ino: '2' },
    uid: 7,
    image: { name: 'sensor', digest: DIGEST, signature: 'AA==', keyId: 'ci-1' },
    workload: { spiffeId: NATS, agentType: 'sensor', instance: 'cam-1' },
  };

  test('the signed bytes are fixed: other implementations depend on them', () => {
    expect(Buffer.from(imageSigningInput('sensor', 'sha256:00')).toString()).toBe(
      'swarmproof/image-signature/v1\0["sensor","sha256:00"]',
    );
    expect(Buffer.from(attestationSigningInput(claims)).toString()).toBe(
      `swarmproof/launcher-attestation/v1\0[5,6,"/n","1","2",7,"sensor","${DIGEST}","AA==","ci-1","${NATS}","sensor","cam-1"]`,
    );
  });

  test('every claim is under the signature', () => {
    const key = keyPair();
    const signed = signAttestation(claims, key.privateKey);
    expect(verifyAttestation(signed, key.publicKey)).toBe(true);
    const { exe, image, workload } = claims;
    const forged: Partial<Attestation>[] = [
      { pid: 6 },
      { startTime: 7 },
      { uid: 0 },
      { uid: undefined },
      ...Object.keys(exe).map((name) => ({ exe: { ...exe, [name]: '9' } })),
      ...Object.keys(image).map((name) => ({ image: { ...image, [name]: 'x' } })),
      ...Object.keys(workload).map((name) => ({ workload: { ...workload, [name]: 'x' } })),
      { launcherSignature: '' },
      { launcherSignature: Buffer.alloc(64).toString('base64') },
    ];
    for (const change of forged) {
      expect(verifyAttestation({ ...signed, ...change }, key.publicKey)).toBe(false);
    }
    expect(verifyAttestation(signed, keyPair().publicKey)).toBe(false);
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(verifyAttestation(signed, createPublicKey(rsa.privateKey))).toBe(false);
  });
});
