import { accept } from '../outcome.ts';
import { writeUtcTime } from './der-writer.ts';
import {
  type issueLeaf,
  type LeafBody,
  type LeafLife,
  type LeafRequest,
  type LeafSigner,
  leafBody,
  leafLife,
  signLeaf,
  subjectKeyId,
} from './leaf.ts';

/** Bodies kept: of so many identities, half a kilobyte each. */
const KEPT = 4096;
/** UTCTime ends there (RFC 5280, 4.1.2.5); the other form is longer. */
const UTC_TIME_ENDS = Date.UTC(2050, 0);

const hasUtcTimes = ({ notAfter }: LeafLife): boolean => notAfter.getTime() < UTC_TIME_ENDS;

/** Two requests of one name have the same body, but for what `LeafBody.at` tells. */
function nameOf({ id, dns = [], ip = [] }: LeafRequest): string {
  return dns.length + ip.length === 0 ? id : JSON.stringify([id, dns, ip]);
}

/**
 * `issueLeaf` for who issues the same identities over and over: the body of the last leaf of a name is
 * kept, and only serial, times, key and its identifier are written into the next.
 */
export function createLeafIssuer(): typeof issueLeaf {
  const bodies = new Map<string, LeafBody>();
  let signedBy: LeafSigner | undefined;

  const bodyOf = (request: LeafRequest, signer: LeafSigner, life: LeafLife) => {
    if (signer !== signedBy) bodies.clear();
    signedBy = signer;
    const name = nameOf(request);
    const known = hasUtcTimes(life) ? bodies.get(name) : undefined;
    if (known === undefined) {
      const body = leafBody(request, signer, life);
      if (body.ok && hasUtcTimes(life)) {
        const [oldest] = bodies.keys();
        if (bodies.size >= KEPT && oldest !== undefined) bodies.delete(oldest);
        bodies.set(name, body.value);
      }
      return body.ok ? accept(body.value.bytes) : body;
    }
    const { at } = known;
    // A copy: what was signed is never written again.
    const bytes = Buffer.from(known.bytes);
    bytes.set(life.serial, at.serial);
    writeUtcTime(bytes, at.notBefore, life.notBefore);
    writeUtcTime(bytes, at.notAfter, life.notAfter);
    bytes.set(request.publicKey, at.publicKey);
    bytes.set(subjectKeyId(request.publicKey), at.subjectKeyId);
    return accept(bytes);
  };

  return (request, signer, now, serial) => {
    const life = leafLife(request, signer, now, serial);
    if (!life.ok) return life;
    const body = bodyOf(request, signer, life.value);
    return body.ok ? accept(signLeaf(body.value, request.id, signer, life.value)) : body;
  };
}
