import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import { bundleSet, bundleToPem, certificatesToPem } from '../bundle.ts';
import { readBundleDocument, type SpiffeBundle } from '../bundle-document.ts';
import { ISSUER_CODES, type IssuerCode } from '../issuer/codes.ts';
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, readJson } from '../json.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { spiffeId } from '../spiffe-id.ts';
import type { X509Bundle, X509Svid } from '../svid.ts';
import { verifyX509Svid } from '../x509/verify.ts';
import type { NodeCode } from './codes.ts';
import { EXPORTER, NODE_PATHS, type NodePath, proveKey, serverId } from './protocol.ts';

export interface NodeEndpoint {
  readonly host: string;
  readonly port: number;
  /** The issuer's trust bundle, brought over a way that is trusted: by it the issuer is known. */
  readonly bundle: X509Bundle;
  readonly now?: () => Date;
}

/** What a node holds after it joined or renewed; its key never left it. */
export interface NodeIdentity {
  readonly svid: X509Svid;
  /** Newest bundle of the trust domain, with its JWT authorities. */
  readonly bundle: SpiffeBundle;
}

export type NodeOutcome<T> = Promise<Outcome<T, NodeCode | IssuerCode>>;

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

interface Pair {
  readonly key: KeyObject;
  readonly spki: Buffer;
}

function keyPair(): Pair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { key: privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }) };
}

/** Joins with a one-time token: a key is made here, and the issuer certifies it. */
export async function joinNode(endpoint: NodeEndpoint, token: string): NodeOutcome<NodeIdentity> {
  const pair = keyPair();
  const answer = await ask(endpoint, NODE_PATHS.attest, undefined, (prove) => ({
    token,
    ...prove(pair),
  }));
  return answer.ok ? identityOf(endpoint, answer.value, pair.key) : answer;
}

/** A new key and SVID; the old one serves until the new one was shown. */
export async function renewNode(
  endpoint: NodeEndpoint,
  { svid }: NodeIdentity,
): NodeOutcome<NodeIdentity> {
  const pair = keyPair();
  const answer = await ask(endpoint, NODE_PATHS.renew, svid, (prove) => prove(pair));
  return answer.ok ? identityOf(endpoint, answer.value, pair.key) : answer;
}

/** The registration entries whose parent the node is, as JSON that SPIRE reads as well. */
export async function nodeEntries(
  endpoint: NodeEndpoint,
  { svid }: NodeIdentity,
): NodeOutcome<readonly JsonObject[]> {
  const answer = await ask(endpoint, NODE_PATHS.entries, svid, () => ({}));
  if (!answer.ok) return answer;
  const { entries } = answer.value;
  return isJsonArray(entries) && entries.every(isJsonObject)
    ? accept(entries.filter(isJsonObject))
    : invalid('no list of entries');
}

/** SVIDs for these entries, each over a key that is made here. */
export async function nodeSvids(
  endpoint: NodeEndpoint,
  { svid }: NodeIdentity,
  entryIds: readonly string[],
): NodeOutcome<ReadonlyMap<string, X509Svid>> {
  const pairs = new Map(entryIds.map((id) => [id, keyPair()]));
  const answer = await ask(endpoint, NODE_PATHS.svids, svid, (prove) => ({
    requests: [...pairs].map(([entryId, pair]) => ({ entryId, ...prove(pair) })),
  }));
  if (!answer.ok) return answer;
  const { svids } = answer.value;
  const found = new Map<string, X509Svid>();
  for (const one of isJsonArray(svids) ? svids : []) {
    if (!isJsonObject(one) || typeof one.entryId !== 'string') return invalid('no SVID');
    const pair = pairs.get(one.entryId);
    const read = pair && svidOf(endpoint, one, pair.key);
    if (read === undefined) return invalid('an SVID that was not asked for, or is not valid');
    found.set(one.entryId, read);
  }
  return found.size === pairs.size ? accept(found) : invalid('not the SVIDs that were asked for');
}

function invalid(what: string) {
  return refuse('NODE_ANSWER_INVALID', `the issuer answered ${what}`);
}

function identityOf(
  endpoint: NodeEndpoint,
  answer: JsonObject,
  key: KeyObject,
): Outcome<NodeIdentity, NodeCode> {
  const { trustDomain } = endpoint.bundle;
  const text = typeof answer.bundle === 'string' ? answer.bundle : '';
  const bundle = readBundleDocument(trustDomain, Buffer.from(text));
  if (!bundle.ok) return invalid('no bundle');
  // The issuer proved itself under the bundle that we hold; it may have newer authorities by now.
  const svid = svidOf({ ...endpoint, bundle: bundle.value.x509 }, answer, key);
  return svid === undefined
    ? invalid('an SVID that is not valid')
    : accept({ svid, bundle: bundle.value });
}

/** `undefined` when it is not a valid SVID of this domain over our key. */
function svidOf(
  { bundle, now = () => new Date() }: NodeEndpoint,
  { chain }: JsonObject,
  key: KeyObject,
): X509Svid | undefined {
  const certificates = (isJsonArray(chain) ? chain : []).map(
    (one) => new Uint8Array(Buffer.from(String(one), 'base64')),
  );
  const verified = verifyX509Svid(certificates, bundleSet([bundle]), now());
  if (!verified.ok || !verified.value.leaf.checkPrivateKey(key)) return undefined;
  const { id, notBefore, notAfter, serial, thumbprint } = verified.value;
  return { id, certificates, key, notBefore, notAfter, serial, thumbprint, hint: '' };
}

/** One connection, on which the issuer has proved to be `/spire/server` of the pinned bundle. */
async function open(endpoint: NodeEndpoint, svid: X509Svid | undefined) {
  const { host, port, bundle, now = () => new Date() } = endpoint;
  const expected = spiffeId(serverId(bundle.trustDomain));
  let proven: string | undefined = 'it ended before it proved anything';
  const socket = connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    ca: bundleToPem(bundle),
    allowPartialTrustChain: true,
    ...(svid !== undefined && {
      cert: certificatesToPem(svid.certificates),
      key: svid.key.export({ type: 'pkcs8', format: 'pem' }),
    }),
    checkServerIdentity: (_host, { raw }) => {
      const verified = verifyX509Svid([new Uint8Array(raw)], bundleSet([bundle]), now());
      const is = verified.ok && verified.value.id === expected;
      proven = is ? undefined : 'its certificate is of somebody else';
      return is ? undefined : new Error(proven);
    },
  });
  const secured = Promise.withResolvers<string | undefined>();
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
  socket.once('secureConnect', () => secured.resolve(undefined));
  socket.on('error', (error) => secured.resolve(error.message));
  socket.on('close', () => secured.resolve('closed'));
  const failure = await secured.promise;
  if (failure === undefined) return accept(socket);
  socket.destroy();
  const unreachable = socket.remoteAddress === undefined && !socket.authorized;
  return unreachable && /ECONN|ENOTFOUND|EHOST|ENET/.test(failure)
    ? refuse('NODE_UNREACHABLE', `${host}:${port}: ${failure}`)
    : refuse('NODE_SERVER_UNPROVEN', `${host}:${port}: ${proven ?? failure}`);
}

type Prove = (pair: Pair) => { readonly publicKey: string; readonly proof: string };

async function ask(
  endpoint: NodeEndpoint,
  path: NodePath,
  svid: X509Svid | undefined,
  body: (prove: Prove) => object,
): NodeOutcome<JsonObject> {
  const opened = await open(endpoint, svid);
  if (!opened.ok) return opened;
  const socket = opened.value;
  try {
    const exported = socket.exportKeyingMaterial(EXPORTER.length, EXPORTER.label, Buffer.alloc(0));
    const prove: Prove = ({ key, spki }) => ({
      publicKey: spki.toString('base64'),
      proof: proveKey(exported, spki, key),
    });
    const answer = await exchange(socket, path, JSON.stringify(body(prove)));
    if (!isJsonObject(answer)) return invalid('no JSON');
    const { code, detail } = answer;
    if (code === undefined) return accept(answer);
    // A foreign word becomes a code only when it is one.
    return typeof code === 'string' && Object.hasOwn(ISSUER_CODES, code)
      ? refuse(code as IssuerCode, typeof detail === 'string' ? detail.slice(0, 300) : '')
      : invalid('with a code that there is not');
  } catch (error) {
    return refuse('NODE_UNREACHABLE', error instanceof Error ? error.message : 'broken off');
  } finally {
    socket.destroy();
  }
}

async function exchange(
  socket: TLSSocket,
  path: string,
  body: string,
): Promise<JsonValue | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const request = httpRequest({ createConnection: () => socket, method: 'POST', path });
  request.on('error', reject);
  socket.on('close', () => reject(new Error('the issuer broke off')));
  request.on('response', (response) => {
    const parts: Buffer[] = [];
    let size = 0;
    response.on('data', (part: Buffer) => {
      size += part.length;
      if (size > MAX_ANSWER_BYTES) socket.destroy();
      parts.push(part);
    });
    response.on('end', () => resolve(Buffer.concat(parts)));
    response.on('error', reject);
  });
  request.end(body);
  return readJson(await promise, { maxBytes: MAX_ANSWER_BYTES });
}
