import {
  children,
  contextTag,
  type DerNode,
  readBoolean,
  readDer,
  readNamedBits,
  readOid,
  readSmallInteger,
  TAG,
} from './der.ts';

/** The extensions that the X.509-SVID rules speak of (X509-SVID, sections 2 and 4). */
export interface X509Extensions {
  readonly subjectAltName?: { readonly critical: boolean; readonly uris: readonly string[] };
  /** Absent means the same as `ca: false`. */
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number };
  readonly keyUsage?: {
    readonly critical: boolean;
    readonly digitalSignature: boolean;
    readonly keyCertSign: boolean;
    readonly cRLSign: boolean;
  };
  /** Dotted OIDs. */
  readonly extendedKeyUsage?: readonly string[];
  /** OIDs of critical extensions that this reader does not understand. */
  readonly unknownCritical: readonly string[];
  readonly hasNameConstraints: boolean;
}

const OID = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;
const UNDERSTOOD: ReadonlySet<string> = new Set(Object.values(OID));

/** Far above what any SVID holds: keeps a hostile certificate from costing time. */
const MAX_EXTENSIONS = 32;
const MAX_NAMES = 64;

interface RawExtension {
  readonly critical: boolean;
  readonly value: DerNode;
}

/** Reads the `[3] Extensions` field of a certificate; `undefined` when anything in it is malformed. */
export function readExtensions(field: DerNode | undefined): X509Extensions | undefined {
  const wrapped = children(field, contextTag(3, true));
  const list = children(wrapped?.[0], TAG.sequence, MAX_EXTENSIONS);
  if (wrapped?.length !== 1 || list === undefined || list.length === 0) return undefined;
  const found = new Map<string, RawExtension>();
  for (const node of list) {
    const extension = readExtension(node);
    // RFC 5280 4.2: one instance each. A second SAN would be a second identity to some reader.
    if (extension === undefined || found.has(extension.oid)) return undefined;
    found.set(extension.oid, extension);
  }
  const names = found.get(OID.subjectAltName);
  const constraints = found.get(OID.basicConstraints);
  const usage = found.get(OID.keyUsage);
  const extended = found.get(OID.extendedKeyUsage);
  const subjectAltName = names && readAltNames(names);
  const basicConstraints = constraints && readBasicConstraints(constraints.value);
  const keyUsage = usage && readKeyUsage(usage);
  const extendedKeyUsage = extended && readExtendedKeyUsage(extended.value);
  if (names && subjectAltName === undefined) return undefined;
  if (constraints && basicConstraints === undefined) return undefined;
  if (usage && keyUsage === undefined) return undefined;
  if (extended && extendedKeyUsage === undefined) return undefined;
  return {
    ...(subjectAltName && { subjectAltName }),
    ...(basicConstraints && { basicConstraints }),
    ...(keyUsage && { keyUsage }),
    ...(extendedKeyUsage && { extendedKeyUsage }),
    unknownCritical: [...found]
      .filter(([oid, { critical }]) => critical && !UNDERSTOOD.has(oid))
      .map(([oid]) => oid),
    hasNameConstraints: found.has(OID.nameConstraints),
  };
}

function readExtension(node: DerNode): (RawExtension & { oid: string }) | undefined {
  const parts = children(node, TAG.sequence, 3);
  const oid = readOid(parts?.[0]);
  const wrapped = parts?.at(-1);
  if (parts === undefined || oid === undefined || wrapped?.tag !== TAG.octetString)
    return undefined;
  // DER leaves a default out: an explicit FALSE is a second spelling of the same certificate.
  const critical = parts.length === 3;
  if (critical ? readBoolean(parts[1]) !== true : parts.length !== 2) return undefined;
  const value = readDer(wrapped.value);
  return value && { oid, critical, value };
}

/** All URI names, in order: libraries that print this list as text can be made to print a lie. */
function readAltNames({ critical, value }: RawExtension): X509Extensions['subjectAltName'] {
  const names = children(value, TAG.sequence, MAX_NAMES);
  if (names === undefined || names.length === 0) return undefined;
  // GeneralName is a choice of context tags [0] to [8].
  if (names.some(({ tag }) => (tag & 0xc0) !== 0x80 || (tag & 0x1f) > 8)) return undefined;
  const uris = names.filter(({ tag }) => (tag & 0x1f) === 6);
  // [6] is a primitive IA5String; the constructed form is not DER.
  if (uris.some(({ tag }) => tag !== contextTag(6, false))) return undefined;
  return { critical, uris: uris.map((name) => Buffer.from(name.value).toString('latin1')) };
}

function readBasicConstraints(value: DerNode): X509Extensions['basicConstraints'] {
  const parts = children(value, TAG.sequence, 2);
  if (parts === undefined) return undefined;
  const [ca, length] = parts;
  // A path length without cA is meaningless (RFC 5280 4.2.1.9), and FALSE is left out in DER.
  if (ca === undefined) return { ca: false };
  if (readBoolean(ca) !== true) return undefined;
  if (length === undefined) return { ca: true };
  const pathLength = readSmallInteger(length);
  return pathLength === undefined ? undefined : { ca: true, pathLength };
}

function readKeyUsage({ critical, value }: RawExtension): X509Extensions['keyUsage'] {
  const bits = readNamedBits(value);
  // RFC 5280 4.2.1.3: at least one bit is set.
  if (bits === undefined || bits.length === 0) return undefined;
  return {
    critical,
    digitalSignature: bits[0] === true,
    keyCertSign: bits[5] === true,
    cRLSign: bits[6] === true,
  };
}

function readExtendedKeyUsage(value: DerNode): readonly string[] | undefined {
  const parts = children(value, TAG.sequence, MAX_NAMES);
  if (parts === undefined || parts.length === 0) return undefined;
  const oids = parts.map(readOid).filter((oid) => oid !== undefined);
  return oids.length === parts.length ? oids : undefined;
}
