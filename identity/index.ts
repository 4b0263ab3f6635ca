/**
 * The client half of this folder, for programs that have or check SPIFFE identities: parsers and
 * validators, sources, TLS. It needs no native code, no database and no issuer; a test holds it to that.
 * The swarm's own folders import the files themselves, so that an image holds what it uses.
 */
export { below, type ExpectedPeer, memberOf, oneOf } from './authorise.ts';
export {
  bundleFromDer,
  bundleFromPem,
  bundleSet,
  bundleToDer,
  bundleToPem,
  isTrustDomain,
} from './bundle.ts';
export {
  readBundleDocument,
  readBundleMap,
  refreshSeconds,
  type SpiffeBundle,
  writeBundleDocument,
} from './bundle-document.ts';
export {
  BUNDLE_CODES,
  type BundleCode,
  ENDPOINT_CODES,
  type EndpointCode,
  JWT_CODES,
  type JwtCode,
  PEER_CODES,
  type PeerCode,
  SVID_CODES,
  type SvidCode,
  WORKLOAD_CODES,
  type WorkloadCode,
} from './codes.ts';
export type { JwtBundle, JwtBundleSet } from './jwt/bundle.ts';
export { jwtBundleFromJwks, jwtBundleToJwks } from './jwt/jwks.ts';
export { type JwtSvidRequest, signJwtSvid } from './jwt/sign.ts';
export { type JwtValidation, type VerifiedJwtSvid, validateJwtSvid } from './jwt/validate.ts';
export type { Accepted, Outcome, Refused } from './outcome.ts';
export {
  parseSpiffeId,
  pathOf,
  SPIFFE_ID_CODES,
  type SpiffeId,
  type SpiffeIdCode,
  spiffeId,
  trustDomainOf,
} from './spiffe-id.ts';
export type { BundleSet, VerifiedSvid, X509Bundle, X509Source, X509Svid } from './svid.ts';
export { clientTls, followSource, peerOf, serverTls, verifyPeer } from './tls.ts';
export { httpsAgent } from './tls-agent.ts';
export { type Guard, type GuardOptions, guardServer } from './tls-server.ts';
export {
  type BundleSourceState,
  openX509BundleSource,
  openX509Source,
  type X509BundleSource,
  type X509BundleSourceOptions,
  type X509SourceOptions,
  type X509SourceState,
  type X509WorkloadSource,
} from './workload-api/client.ts';
export { chooseEndpoint, ENDPOINT_VARIABLE, parseEndpoint } from './workload-api/endpoint.ts';
export {
  type JwtSource,
  type JwtSourceOptions,
  openJwtSource,
  type ServerVerdict,
  type TokenRequest,
} from './workload-api/jwt-source.ts';
export type { JwtSvid } from './workload-api/jwt-update.ts';
export { verifyX509Svid } from './x509/verify.ts';
