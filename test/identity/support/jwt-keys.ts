import { generateKeyPairSync, type KeyObject } from 'node:crypto';

/** The keys of the JWT vectors: made anew at each run, only their public halves are kept. */
export function vectorKeys() {
  const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
  return {
    p256: ec('P-256'),
    p384: ec('P-384'),
    p521: ec('P-521'),
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ed25519: generateKeyPairSync('ed25519'),
    secp256k1: ec('secp256k1'),
    x509: ec('P-256'),
    wit: ec('P-256'),
    /** Of another trust domain, under the same kid. */
    foreign: ec('P-256'),
    /** In no bundle. */
    stranger: ec('P-256'),
  };
}
export type VectorKeys = ReturnType<typeof vectorKeys>;

/** The bundle document of each trust domain that the vectors are judged by. */
export function vectorBundles(keys: VectorKeys): Readonly<Record<string, object>> {
  const entry = ({ publicKey }: { publicKey: KeyObject }, kid: string, use = 'jwt-svid') => ({
    ...publicKey.export({ format: 'jwk' }),
    use,
    kid,
  });
  return {
    'city.example': {
      spiffe_sequence: 1,
      keys: [
        entry(keys.p256, 'k1'),
        entry(keys.p384, 'p384'),
        entry(keys.p521, 'p521'),
        entry(keys.rsa, 'rsa'),
        entry(keys.ed25519, 'ed25519'),
        entry(keys.x509, 'x509', 'x509-svid'),
        entry(keys.wit, 'wit', 'wit-svid'),
      ],
    },
    'other.example': { keys: [entry(keys.foreign, 'k1'), entry(keys.foreign, 'foreign')] },
    'empty.example': { keys: [] },
  };
}
