import { CUSTODY_HEADER, decodeHeaders } from '#custody/headers.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import type { CertificateCache } from './certificates.ts';
import type { DoorMessage } from './door.ts';

/** Protected headers, one for each certificate: forgotten all at once, and asked for again. */
const MAX_PASSED = 4096;

/** The protected header of the one `Custody` header, or `undefined` where that is not plain. */
function headerOf({ headers }: DoorMessage): string | undefined {
  if (headers === undefined || headers === 'malformed') return undefined;
  for (const [name, [jws]] of headers) {
    if (name !== CUSTODY_HEADER || jws === undefined) continue;
    // A record of a batch ends in the batch's own JWS.
    const start = jws.lastIndexOf('~') + 1;
    return jws.slice(start, jws.indexOf('.', start));
  }
  return undefined;
}

/**
 * Which certificate a message would have to wait for. It names one only when the message is a record
 * under a chain that verifies: nobody but a holder of the authority's key makes others wait. The
 * protected header names the certificate, so that for one that stands it is looked up, and no more.
 */
export function createAwaited(options: {
  readonly certificates: Pick<CertificateCache, 'resolve'>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  readonly isLogged: ((svid: VerifiedSvid) => boolean) | undefined;
}): (message: DoorMessage) => string | undefined {
  const { certificates, clock, isLogged } = options;
  const passed = new Set<string>();

  return (message) => {
    if (isLogged === undefined || message.headers === 'malformed') return undefined;
    const header = headerOf(message);
    if (header === undefined || passed.has(header)) return undefined;
    const custody = decodeHeaders(message.headers);
    const record = custody.ok ? parseRecord(custody.value.jws) : custody;
    if (!custody.ok || !record.ok) return undefined;
    const { thumbprint } = record.value;
    const svid = certificates.resolve(thumbprint, custody.value.chain, new Date(clock()));
    if (!svid.ok) return undefined;
    if (!isLogged(svid.value)) return thumbprint;
    if (passed.size >= MAX_PASSED) passed.clear();
    passed.add(header);
    return undefined;
  };
}
