import { createPrivateKey, type X509Certificate } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { bundleSet } from '../bundle.ts';
import { readBundleDocument, writeBundleDocument } from '../bundle-document.ts';
import { isJsonArray, isJsonObject, type JsonValue, readJson } from '../json.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { X509Svid } from '../svid.ts';
import { verifyX509Svid } from '../x509/verify.ts';
import type { NodeIdentity } from './client.ts';
import type { NodeCode } from './codes.ts';

const FILE = 'node.json';
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Keeps the identity of a node in a folder of its own (0700), in one file (0600) that holds its private
 * key: whoever reads it is the node. Written beside and renamed, on disk when this returns, so that a
 * node that is killed has the one before or this one.
 */
export function keepNode(folder: string, { svid, bundle }: NodeIdentity): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const text = JSON.stringify({
    trustDomain: bundle.trustDomain,
    chain: svid.certificates.map((der) => Buffer.from(der).toString('base64')),
    key: svid.key.export({ type: 'pkcs8', format: 'pem' }),
    bundle: writeBundleDocument(bundle),
  });
  const path = join(folder, FILE);
  const next = `${path}.next`;
  const file = openSync(next, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(next, path);
  const directory = openSync(folder, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function texts(value: JsonValue | undefined): readonly string[] | undefined {
  const list = isJsonArray(value) ? value : [];
  const found = list.filter((one) => typeof one === 'string');
  return found.length > 0 && found.length === list.length ? found : undefined;
}

/**
 * What was kept last; `undefined` when nothing was.
 * @param expected the trust domain that it must be of
 * @returns NODE_KEPT_UNUSABLE when it cannot be read, or its SVID has ended
 */
export function keptNode(
  folder: string,
  expected: string,
  now: Date,
): Outcome<NodeIdentity | undefined, NodeCode> {
  const path = join(folder, FILE);
  const unusable = (why: string) =>
    refuse('NODE_KEPT_UNUSABLE', `${path}: ${why}; join anew with another token`);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? accept(undefined) : unusable(`cannot be read (${code})`);
  }
  const kept = readJson(bytes, { maxBytes: MAX_BYTES });
  if (!isJsonObject(kept)) return unusable('is not what an agent writes');
  const { trustDomain, key, bundle: document } = kept;
  const chain = texts(kept.chain)?.map((one) => new Uint8Array(Buffer.from(one, 'base64')));
  if (typeof trustDomain !== 'string' || typeof key !== 'string' || chain === undefined) {
    return unusable('is not what an agent writes');
  }
  if (trustDomain !== expected) return unusable(`is of ${trustDomain}, not of ${expected}`);
  const bundle = readBundleDocument(trustDomain, Buffer.from(String(document)));
  if (!bundle.ok) return unusable(bundle.detail);
  const verified = verifyX509Svid(chain, bundleSet([bundle.value.x509]), now);
  if (!verified.ok) return unusable(verified.detail);
  const { id, leaf, notBefore, notAfter, serial, thumbprint } = verified.value;
  const privateKey = keyOf(key, leaf);
  if (privateKey === undefined) return unusable('the key is not the one of the certificate');
  const rest = { notBefore, notAfter, serial, thumbprint, hint: '' };
  const svid: X509Svid = { id, certificates: chain, key: privateKey, ...rest };
  return accept({ svid, bundle: bundle.value });
}

function keyOf(pem: string, leaf: X509Certificate) {
  try {
    const key = createPrivateKey(pem);
    return leaf.checkPrivateKey(key) ? key : undefined;
  } catch {
    return undefined;
  }
}
