import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { connect, type TLSSocket } from 'node:tls';
import { bundleSet, bundleToPem, certificatesToPem } from '../bundle.ts';
import { readBundleDocument, type SpiffeBundle } from '../bundle-document.ts';
import { ISSUER_CODES, type IssuerCode } from '../issuer/codes.ts';
import type { RegistrationEntry } from '../issuer/entry.ts';
import { NodeEntries } from '../issuer/link-messages.ts';
import { isJsonArray, isJsonObject, type JsonObject, type JsonValue, readJson } from '../json.ts';
import { validateJwtSvid } from '../jwt/validate.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { spiffeId } from '../spiffe-id.ts';
import type { X509Bundle, X509Svid } from '../svid.ts';
import { verifyX509Svid } from '../x509/verify.ts';
import type { NodeCode } from './codes.ts';
import {
  EXPORTER,
  NODE_PATHS,
  type NodePath,
  proveKey,
  serverId,
  WATCH_SECONDS,
} from './protocol.ts';

export interface NodeEndpoint {
  readonly host: string;
  readonly port: number;
  /** The issuer's trust bundle, brought over a way that is trusted: by it the issuer is known. */
  readonly bundle: X509Bundle;
  readonly now?: () => Date;
  /** Breaks off what is under way. */
  readonly signal?: AbortSignal;
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
/** Of the network; every other error is what the other side is or said. */
const UNREACHABLE = /^(?:ECONN|ENOTFOUND|EAI_|EHOST|ENET|ETIMEDOUT|EPIPE)/;
/** As the issuer allows when it validates for somebody. */
const JWT_LEEWAY = 5;

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

/** What the issuer has for a node at one moment. */
export interface NodeNews {
  readonly entries: readonly RegistrationEntry[];
  readonly bundle: SpiffeBundle;
  /** Says to the issuer, the next time, that this is known. */
  readonly mark: string;
}

/**
 * Waits until there is something other than `mark` says, at most for `WATCH_SECONDS`. Who was evicted
 * is told at once: NODE_UNKNOWN.
 */
export async function watchNode(
  endpoint: NodeEndpoint,
  { svid }: NodeIdentity,
  mark: string,
): NodeOutcome<NodeNews> {
  const patience = (WATCH_SECONDS + TIMEOUT_MS / 1000) * 1000;
  const answer = await ask(endpoint, NODE_PATHS.watch, svid, () => ({ mark }), patience);
  if (!answer.ok) return answer;
  const { entries, bundle: text, mark: next } = answer.value;
  const bundle = bundleOf(endpoint, text);
  const parsed = NodeEntries.safeParse(entries);
  return bundle === undefined || !parsed.success || typeof next !== 'string'
    ? invalid('no news')
    : accept({ entries: parsed.data, bundle, mark: next });
}

/** A JWT-SVID for one entry, judged by the bundle that the node holds. */
export async function nodeToken(
  endpoint: NodeEndpoint,
  { svid, bundle }: NodeIdentity,
  entry: Pick<RegistrationEntry, 'id' | 'spiffe_id'>,
  audience: readonly string[],
): NodeOutcome<{ readonly token: string; readonly issuedAt: Date; readonly expiresAt: Date }> {
  const request = { entryId: entry.id, audience };
  const answer = await ask(endpoint, NODE_PATHS.tokens, svid, () => request);
  if (!answer.ok) return answer;
  const token = String(answer.value.token);
  const now = endpoint.now?.() ?? new Date();
  const bundles = new Map([[bundle.trustDomain, bundle.jwt]]);
  const valid = validateJwtSvid(token, { audience, bundles, now, leeway: JWT_LEEWAY });
  if (!valid.ok || valid.value.id !== entry.spiffe_id) return invalid('a token that is not valid');
  return accept({ token, issuedAt: now, expiresAt: valid.value.expiresAt });
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
  const bundle = bundleOf(endpoint, answer.bundle);
  if (bundle === undefined) return invalid('no bundle');
  // The issuer proved itself under the bundle that we hold; it may have newer authorities by now.
  const svid = svidOf({ ...endpoint, bundle: bundle.x509 }, answer, key);
  return svid === undefined ? invalid('an SVID that is not valid') : accept({ svid, bundle });
}

function bundleOf({ bundle }: NodeEndpoint, text: JsonValue | undefined): SpiffeBundle | undefined {
  const document = Buffer.from(typeof text === 'string' ? text : '');
  const read = readBundleDocument(bundle.trustDomain, document);
  return read.ok ? read.value : undefined;
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
async function open(endpoint: NodeEndpoint, svid: X509Svid | undefined, patienceMs: number) {
  const { host, port, bundle, now = () => new Date(), signal } = endpoint;
  const expected = spiffeId(serverId(bundle.trustDomain));
  let proven: string | undefined;
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
  const secured = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const abort = (): void => void socket.destroy();
  socket.setTimeout(TIMEOUT_MS, abort);
  signal?.addEventListener('abort', abort);
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  socket.once('secureConnect', () => secured.resolve(undefined));
  socket.on('error', (error) => secured.resolve(error));
  socket.on('close', () => secured.resolve(new Error('no answer')));
  const failure = await secured.promise;
  if (failure === undefined && signal?.aborted !== true) {
    socket.setTimeout(patienceMs);
    return accept(socket);
  }
  socket.destroy();
  const { code, message }: NodeJS.ErrnoException = failure ?? new Error('broken off');
  const at = `${host}:${port}`;
  return proven === undefined && (code === undefined || UNREACHABLE.test(code))
    ? refuse('NODE_UNREACHABLE', `${at}: ${message}`)
    : refuse('NODE_SERVER_UNPROVEN', `${at}: ${proven ?? message}`);
}

type Prove = (pair: Pair) => { readonly publicKey: string; readonly proof: string };

async function ask(
  endpoint: NodeEndpoint,
  path: NodePath,
  svid: X509Svid | undefined,
  body: (prove: Prove) => object,
  patienceMs = TIMEOUT_MS,
): NodeOutcome<JsonObject> {
  const opened = await open(endpoint, svid, patienceMs);
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
