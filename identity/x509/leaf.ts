import type { SvidCode } from '../codes.ts';
import { accept, type Outcome, type Refused, refuse } from '../outcome.ts';
import { parseSpiffeId, pathOf, type SpiffeId } from '../spiffe-id.ts';
import type { Certificate } from './certificate.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/**
 * The rules for a leaf that need no signer and no clock (X509-SVID 2, 4 and 5.2): who it names, and
 * that it can be nothing but a workload's certificate.
 */
export function checkLeaf(leaf: Certificate): Outcome<SpiffeId, SvidCode> {
  return checkUse(leaf) ?? readIdentity(leaf);
}

/** Rules that leaf and signers share: nothing critical is left unread (RFC 5280 6.1.4 and 6.1.5). */
export function checkUnderstood({ extensions }: Certificate): Refused<SvidCode> | undefined {
  const [unknown] = extensions.unknownCritical;
  if (unknown !== undefined) {
    return refuse('SVID_CRITICAL_EXTENSION', `critical extension ${unknown} is not understood`);
  }
  // Not processed here, so not ignored either, critical or not: a constrained CA stays out (X 4.2).
  if (extensions.hasNameConstraints) {
    return refuse('SVID_CRITICAL_EXTENSION', 'name constraints are not processed');
  }
  if (extensions.keyUsage === undefined) {
    return refuse('SVID_KEY_USAGE_MISSING', 'keyUsage is mandatory on every certificate');
  }
  if (!extensions.keyUsage.critical) {
    return refuse('SVID_KEY_USAGE_NOT_CRITICAL', 'keyUsage must be critical');
  }
  const uses = extensions.extendedKeyUsage;
  if (uses !== undefined && !(uses.includes(SERVER_AUTH) && uses.includes(CLIENT_AUTH))) {
    return refuse('SVID_EXTENDED_KEY_USAGE', 'extKeyUsage must hold serverAuth and clientAuth');
  }
  return undefined;
}

function checkUse(leaf: Certificate): Refused<SvidCode> | undefined {
  const { basicConstraints, keyUsage } = leaf.extensions;
  // Read from the extension itself: libraries call a certificate a CA only with keyCertSign beside it.
  if (basicConstraints?.ca === true) return refuse('SVID_LEAF_IS_CA', 'the leaf has cA true');
  const common = checkUnderstood(leaf);
  if (common !== undefined) return common;
  if (keyUsage?.keyCertSign === true || keyUsage?.cRLSign === true) {
    return refuse('SVID_KEY_USAGE_SIGNER', 'the leaf has keyCertSign or cRLSign');
  }
  if (keyUsage?.digitalSignature !== true) {
    return refuse('SVID_KEY_USAGE_NO_SIGNATURE', 'the leaf has no digitalSignature');
  }
  return undefined;
}

function readIdentity(leaf: Certificate): Outcome<SpiffeId, SvidCode> {
  const names = leaf.extensions.subjectAltName;
  const [uri, ...others] = names?.uris ?? [];
  if (names === undefined || uri === undefined) {
    return refuse('SVID_SAN_MISSING', 'the leaf has no URI name');
  }
  if (others.length > 0) {
    return refuse('SVID_SAN_MULTIPLE', `the leaf has ${others.length + 1} URI names`);
  }
  // RFC 5280 4.2.1.6: else a reader may skip the only name there is.
  if (leaf.subjectIsEmpty && !names.critical) {
    return refuse('SVID_SAN_NOT_CRITICAL', 'subject is empty and subjectAltName is not critical');
  }
  const id = parseSpiffeId(uri);
  if (!id.ok) return refuse('SVID_ID_INVALID', id.detail);
  if (pathOf(id.value) === '') {
    return refuse('SVID_ID_NO_PATH', `${id.value} is the ID of a trust domain`);
  }
  return accept(id.value);
}
