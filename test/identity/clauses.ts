import { SERVER_CLAUSES } from './clauses-server.ts';

/** One demand of the SPIFFE standards (spiffe/spiffe at 665a28f, 2026-07-01), in our words. */
export interface Clause {
  /** Tests cite it in their titles, vectors in their `clause`. */
  readonly id: string;
  readonly says: string;
  /** Document and section. */
  readonly where: string;
  /** Why no test cites it. */
  readonly untested?: string;
}

const rows = (
  document: string,
  ...list: readonly (readonly [id: string, section: string, says: string])[]
): readonly Clause[] =>
  list.map(([id, section, says]) => ({ id, says, where: `${document} ${section}` }));

const SPIFFE_ID = rows(
  'SPIFFE-ID',
  ['I-01', '2', 'an ID is spiffe:// and a trust domain, without query and fragment'],
  ['I-02', '2.1', 'no user and no port beside the trust domain'],
  ['I-03', '2.1', 'a trust domain is of a-z, 0-9, dot, hyphen and underscore, nothing encoded'],
  [
    'I-04',
    '2.1',
    'a trust domain that looks like an IP address or a host name is one like any other',
  ],
  [
    'I-05',
    '2.2',
    'path segments are of letters, digits, dot, hyphen, underscore; none empty, "." or ".."',
  ],
  ['I-06', '2.3', 'IDs of up to 2,048 bytes work, trust domains of up to 255'],
  [
    'I-07',
    '2.4',
    'paths are case-sensitive; other spellings of scheme or trust domain are not the same ID',
  ],
  ['I-08', '3.1', 'a trust domain has an authority whose own certificate names the trust domain'],
  ['I-09', '3.2', 'ID and public key are inside what is signed'],
);

const X509_SVID = rows(
  'X509-SVID',
  [
    'X-01',
    '2',
    'a certificate has one URI name, the SPIFFE ID; names of other kinds may stand beside it',
  ],
  ['X-02', '3.1', 'a workload’s ID has a path; without a subject the alternative name is critical'],
  [
    'X-03',
    '3.2, 4.1, 4.3',
    'an authority says cA and keyCertSign, and its ID, where it has one, no path',
  ],
  ['X-04', '3.2', 'an authority’s certificate authenticates nobody'],
  ['X-05', '4.1', 'a leaf is no authority; an authority may bound the path below it'],
  [
    'X-06',
    '4.3',
    'key usage is on every certificate and critical; on a leaf it is digitalSignature',
  ],
  ['X-07', '4.4', 'extended key usage, where there is one, has both server and client'],
  [
    'X-08',
    '4.2',
    'name constraints are not set, and a constrained authority is not taken for a free one',
  ],
  [
    'X-09',
    'RFC 5280',
    'key identifiers, a positive serial, a backdated beginning, an end before the authority’s',
  ],
  [
    'XV-01',
    '5.1',
    'a path is validated as RFC 5280 says, by the bundle of the SVID’s own trust domain',
  ],
  ['XV-02', '5.2', 'a leaf that is an authority, or may sign certificates or CRLs, is refused'],
  ['XV-03', '2, 5.2', 'a leaf whose ID is none, has no path, or is one of several is refused'],
  ['XV-04', 'Workload API 4.6', 'without a bundle of its trust domain an SVID is not trusted'],
  ['XV-05', '5', 'the SPIFFE ID is what is authorised; host names play no part'],
);

const JWT_SVID = rows(
  'JWT-SVID',
  ['J-01', '1, 5.1', 'a token is a JWS in compact serialisation'],
  ['J-02', '2', 'a header has alg, kid and typ, and no other member'],
  ['J-03', '2.1', 'nine algorithms exist, of RSA and ECDSA'],
  ['J-04', '2.2, 2.3', 'typ, where it is set, is JWT or JOSE; kid is set'],
  ['J-05', '3.1-3.3', 'a token has a subject that is a SPIFFE ID, an audience, and an end'],
  ['J-06', '3', 'other claims are allowed, and mean nothing here'],
  ['JV-01', '4', 'the algorithm is judged before anything else is processed'],
  [
    'JV-02',
    '3.2, 3.3, A',
    'a token without an audience, for another, without an end, or ended is refused',
  ],
  [
    'JV-03',
    'Workload API 6.3',
    'the JWT bundle of the subject’s trust domain counts, and no other',
  ],
  ['JV-04', '3.1, 7.1', 'the subject is a SPIFFE ID; a jti need not be remembered'],
);

const BUNDLE = rows(
  'Trust Domain and Bundle',
  [
    'B-01',
    '4.1',
    'a bundle is a JWK Set, possibly empty, with an optional sequence of 64 bits and hint',
  ],
  ['B-02', '4.2', 'each key says kty and use; uses are compared case-sensitively'],
  [
    'B-03',
    'X509-SVID 6.1, JWT-SVID 6.1',
    'an X.509 key is one certificate in x5c; a JWT key has a kid',
  ],
  [
    'B-04',
    '4.1, 4.2',
    'what is not understood is passed over, and what is not defined is not needed',
  ],
  ['B-05', '3', 'a bundle belongs to one trust domain, and is never merged with another’s'],
  ['B-06', '5.1', 'a bundle map has each trust domain once; hints inside it are not obeyed'],
  ['B-07', '6.1', 'without a hint a consumer looks again after a short while'],
);

const CLIENT = rows(
  'Workload API, client',
  [
    'C-01',
    '4.2',
    'a stream that closed is opened again at once, with back-off on trouble, not on a refusal',
  ],
  ['C-02', '4.4', 'a message replaces all that was held; what is absent in it is unloaded'],
  ['C-03', '4.5', 'a message with an empty mandatory field is reported and discarded'],
  [
    'C-04',
    '5.2.1, 8',
    'of two with one hint the first counts; without a known hint the first of all',
  ],
  ['C-05', '5.2.1', 'what was taken away is not used any more'],
  ['C-06', '5.2.2, 6.2.2', 'bundles of one kind of SVID authenticate no other kind'],
  ['C-07', '6.3', 'a client can have the server validate tokens'],
);

const outOfScope = (reason: string, document: string, ids: readonly string[]): readonly Clause[] =>
  ids.map((id) => ({ id, says: document, where: document, untested: reason }));
const numbered = (prefix: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => `${prefix}-${String(from + n).padStart(2, '0')}`);

const NOT_HERE = [
  ...outOfScope('there is no bundle endpoint yet', 'Federation, server', numbered('F', 1, 7)),
  ...outOfScope(
    'there is no bundle endpoint client yet',
    'Federation, client',
    numbered('F', 10, 15),
  ),
  ...outOfScope(
    'an incubating profile that is not offered: the server answers Unimplemented',
    'WIT-SVID',
    numbered('W', 1, 5),
  ),
  ...outOfScope('an incubating API that is not offered', 'Broker Endpoint', numbered('BE', 1, 2)),
  ...outOfScope('an incubating API that is not offered', 'Broker API', numbered('BA', 1, 3)),
];

/** Every clause. `conformance.test.ts` fails for one that no test cites and no reason excuses. */
export const CLAUSES: readonly Clause[] = [
  ...SPIFFE_ID,
  ...X509_SVID,
  ...JWT_SVID,
  ...BUNDLE,
  ...CLIENT,
  ...SERVER_CLAUSES,
  ...NOT_HERE,
];
