import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose';
import { describe, expect, it } from 'vitest';
import { canonicalText } from '#custody/canonical.ts';
import { checkSignature } from '#custody/record/check.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createTestSwarm, malleate, reading } from '../support.ts';

const swarm = await createTestSwarm();

describe('interoperation with jose', () => {
  it('jose verifies our records with the leaf’s key', async () => {
    const { jws, claims, chain } = swarm.signer('sensor').sign(reading());
    const leaf = new X509Certificate(Buffer.from(chain[0] ?? []));
    const key = createPublicKey(leaf.publicKey.export({ format: 'pem', type: 'spki' }));
    const { payload } = await compactVerify(jws, key, { algorithms: ['ES256'] });
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(claims);
    expect(decodeProtectedHeader(jws)).toEqual({
      alg: 'ES256',
      typ: 'custody+jwt',
      'x5t#S256': swarm.svid('sensor').thumbprint,
    });
    const altered = `${jws.slice(0, -4)}AAAA`;
    await expect(compactVerify(altered, key)).rejects.toThrow();
  });

  it('we verify records that jose signed', async () => {
    const svid = swarm.svid('sensor');
    const { claims } = swarm.signer('sensor').sign(reading());
    const key = createPrivateKey(svid.key.export({ format: 'pem', type: 'pkcs8' }));
    const jws = await new CompactSign(
      Buffer.from(canonicalText(JSON.parse(JSON.stringify(claims)))),
    )
      .setProtectedHeader({ alg: 'ES256', typ: 'custody+jwt', 'x5t#S256': svid.thumbprint })
      .sign(key);
    const verified = swarm.verify(svid.certificates, new Date());
    const record = parseRecord(jws);
    if (!record.ok || !verified.ok) throw new Error('refused');
    expect(record.value.claims).toEqual(claims);
    expect(checkSignature(record.value, verified.value).ok).toBe(true);
  });

  it('a rewritten signature verifies in both, under one record id', async () => {
    const { jws, id } = swarm.signer('sensor').sign(reading());
    const other = malleate(jws);
    const verified = swarm.verify(swarm.svid('sensor').certificates, new Date());
    const record = parseRecord(other);
    if (!record.ok || !verified.ok) throw new Error('refused');
    expect(other).not.toBe(jws);
    expect(record.value.id).toBe(id);
    expect(checkSignature(record.value, verified.value).ok).toBe(true);
    await compactVerify(other, verified.value.leaf.publicKey);
  });
});
