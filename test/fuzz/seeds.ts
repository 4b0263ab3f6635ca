import { X509Certificate } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  JWTBundlesResponseSchema,
  JWTSVIDResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';
import { jwtAuthority } from '../identity/support/jwt.ts';
import { leafToday, OWN, rootToday, svidOf } from '../identity/support/pushed.ts';
import {
  type BundleVector,
  chainOf,
  type IdVector,
  readList,
  readVectors,
} from '../identity/support/vectors.ts';

const ID = `spiffe://${OWN}/agent/sensor/north/cam-1`;
const PARTNER = 'spiffe://other.example';

/** Valid and invalid inputs to start from, out of the committed vectors. */
export async function seedsOf() {
  const vectors = readVectors();
  const accepted = vectors.filter(({ expected }) => expected === 'OK');
  const certificates = accepted.flatMap(chainOf);
  return {
    vectors: vectors.filter((vector) => chainOf(vector).every((der) => der.length < 8192)),
    certificates,
    pems: certificates.slice(0, 8).map((der) => Buffer.from(new X509Certificate(der).toString())),
    ids: readList<IdVector>('spiffe-id.json')
      .vectors.filter(({ name }) => !name.includes('.byte-'))
      .map(({ hex }) => Buffer.from(hex, 'hex')),
    documents: readList<BundleVector>('bundle.json').vectors.map(({ document }) =>
      Buffer.from(document),
    ),
  };
}

/** Answers of the Workload API as they are on the wire. */
export async function messages() {
  const root = await rootToday();
  const partner = await rootToday('other.example');
  const jwt = jwtAuthority(OWN);
  const [own, foreign] = [root, partner].map(({ der }) => new Uint8Array(der));
  if (own === undefined || foreign === undefined) throw new Error('no roots');
  const svid = svidOf(await leafToday(root, ID), ID, root, { hint: 'internal' });
  const jwks = new Uint8Array(jwt.jwks);
  const token = (hint: string) => ({ spiffeId: ID, svid: jwt.token(ID, 'reports'), hint });
  return {
    svids: [
      { svids: [svid] },
      { svids: [svid, { ...svid, hint: 'other' }], crl: [own] },
      { svids: [svid], federatedBundles: { [PARTNER]: foreign } },
    ].map((init) => toBinary(X509SVIDResponseSchema, create(X509SVIDResponseSchema, init))),
    x509Bundles: [
      { bundles: { [`spiffe://${OWN}`]: own } },
      { bundles: { [`spiffe://${OWN}`]: own, [PARTNER]: foreign } },
    ].map((init) => toBinary(X509BundlesResponseSchema, create(X509BundlesResponseSchema, init))),
    tokens: [{ svids: [token('')] }, { svids: [token('a'), token('b')] }].map((init) =>
      toBinary(JWTSVIDResponseSchema, create(JWTSVIDResponseSchema, init)),
    ),
    jwtBundles: [
      { bundles: { [`spiffe://${OWN}`]: jwks } },
      { bundles: { [`spiffe://${OWN}`]: jwks, [PARTNER]: jwks } },
    ].map((init) => toBinary(JWTBundlesResponseSchema, create(JWTBundlesResponseSchema, init))),
  };
}
