import { readJson } from '../json.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { EntryInput, RegistrationEntry, Selector } from './entry.ts';

/**
 * Registration entries as JSON, in the two spellings that SPIRE has for them: the file that
 * `spire-server entry create -data` reads (`entry_id`, `entryExpiry`, IDs as text), and what
 * `spire-server entry show -output json` prints (`id`, `expires_at`, IDs in two parts, numbers that
 * may be text). What is not understood is refused by its name: an entry that is half understood
 * could give an identity to somebody for whom it was not meant.
 */
type Bad = (why: string) => ReturnType<typeof refuse<'ENTRY_INVALID'>>;
type Json = Readonly<Record<string, unknown>>;

/** Fields that are there in SPIRE and whose default alone is taken, and why. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  admin: 'no SVID administers this issuer; operators use the control socket',
  downstream: 'this issuer has no downstream servers',
  store_svid: 'SVIDs are not put into stores of others',
};
/** Read from a file and not believed: the issuer sets them. */
const SET_HERE = new Set(['revision_number', 'created_at']);
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const ATTRIBUTES = 'additional_attributes';

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** A number, or a number as text: protobuf's JSON spells 64-bit integers so. */
function integer(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^-?[0-9]{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
}

function idText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!isObject(value)) return undefined;
  const { trust_domain: domain, path = '', ...others } = value;
  const sound =
    typeof domain === 'string' && typeof path === 'string' && Object.keys(others).length === 0;
  return sound ? `spiffe://${domain}${path}` : undefined;
}

function selectorsOf(value: unknown): readonly Selector[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const selectors: Selector[] = [];
  for (const one of value) {
    if (!isObject(one)) return undefined;
    const { type, value: text, ...others } = one;
    if (typeof type !== 'string' || typeof text !== 'string') return undefined;
    if (Object.keys(others).length > 0) return undefined;
    selectors.push({ type, value: text });
  }
  return selectors;
}

/** How each field is read; `undefined` when it is not of its form. */
const FIELDS: Readonly<
  Record<string, readonly [to: keyof EntryInput, read: (value: unknown) => unknown, form: string]>
> = {
  entry_id: ['id', (value) => (typeof value === 'string' ? value : undefined), 'a text'],
  id: ['id', (value) => (typeof value === 'string' ? value : undefined), 'a text'],
  spiffe_id: ['spiffe_id', idText, 'a SPIFFE ID'],
  parent_id: ['parent_id', idText, 'a SPIFFE ID'],
  selectors: ['selectors', selectorsOf, 'a list of {"type", "value"}'],
  x509_svid_ttl: ['x509_svid_ttl', integer, 'a number of seconds'],
  jwt_svid_ttl: ['jwt_svid_ttl', integer, 'a number of seconds'],
  federates_with: [
    'federates_with',
    (value) => (isTextList(value) ? value : undefined),
    'a list of texts',
  ],
  dns_names: ['dns_names', (value) => (isTextList(value) ? value : undefined), 'a list of texts'],
  hint: ['hint', (value) => (typeof value === 'string' ? value : undefined), 'a text'],
  entryExpiry: ['expires_at', integer, 'seconds since the epoch'],
  expires_at: ['expires_at', integer, 'seconds since the epoch'],
};

function readAttributes(value: unknown, bad: Bad): Outcome<boolean, 'ENTRY_INVALID'> {
  if (value === null) return accept(false);
  if (!isObject(value)) return bad(`${ATTRIBUTES} is an object`);
  const {
    disable_x509_svid_prefetch: noPrefetch = false,
    jwt_svid_include_jti: jti = false,
    ...others
  } = value;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return bad(`unknown field "${ATTRIBUTES}.${unknown}"`);
  if (noPrefetch !== false) {
    return bad(
      `${ATTRIBUTES}.disable_x509_svid_prefetch: nothing is fetched before it is asked for`,
    );
  }
  return typeof jti === 'boolean'
    ? accept(jti)
    : bad(`${ATTRIBUTES}.jwt_svid_include_jti is true or false`);
}

function readEntry(value: unknown, bad: Bad): Outcome<EntryInput, 'ENTRY_INVALID'> {
  if (!isObject(value)) return bad('not an object');
  const input: Record<string, unknown> = {};
  for (const [name, content] of Object.entries(value)) {
    if (SET_HERE.has(name)) continue;
    const reason = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined;
    if (reason !== undefined) {
      if (content !== false) return bad(`${name} is not supported: ${reason}; leave it out`);
      continue;
    }
    if (name === ATTRIBUTES) {
      const jti = readAttributes(content, bad);
      if (!jti.ok) return jti;
      input.jwt_svid_include_jti = jti.value;
      continue;
    }
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (field === undefined) return bad(`unknown field "${name}"`);
    const [to, read, form] = field;
    const read_ = read(content);
    if (read_ === undefined) return bad(`${name} is not ${form}`);
    if (Object.hasOwn(input, to)) return bad(`${name} stands there in two spellings`);
    // SPIRE prints an empty id and hint where there is none.
    if (read_ !== '') input[to] = read_;
  }
  const { spiffe_id, selectors, ...rest } = input;
  if (typeof spiffe_id !== 'string') return bad('spiffe_id is missing');
  if (!Array.isArray(selectors)) return bad('selectors is missing');
  return accept({ ...rest, spiffe_id, selectors });
}

/** Reads a file of entries: `{"entries": […]}`. Refusals name the entry by its place, from 0. */
export function readEntriesJson(text: string): Outcome<readonly EntryInput[], 'ENTRY_INVALID'> {
  const document: unknown = readJson(Buffer.from(text), { maxBytes: MAX_FILE_BYTES });
  if (document === undefined) {
    return refuse('ENTRY_INVALID', 'not JSON, or a name stands twice in an object');
  }
  if (!isObject(document) || !Array.isArray(document.entries)) {
    return refuse('ENTRY_INVALID', 'not {"entries": […]}, which spire-server reads and prints');
  }
  const { entries, next_page_token: _page, ...others } = document;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return refuse('ENTRY_INVALID', `unknown field "${unknown}"`);
  const inputs: EntryInput[] = [];
  for (const [index, value] of entries.entries()) {
    const input = readEntry(value, (why) => refuse('ENTRY_INVALID', `entry ${index}: ${why}`));
    if (!input.ok) return input;
    inputs.push(input.value);
  }
  return accept(inputs);
}

/** Entries as `spire-server entry create -data` takes them; fields with their default are left out. */
export function writeEntriesJson(entries: readonly RegistrationEntry[]): {
  readonly entries: readonly Json[];
} {
  const given = (name: string, value: unknown, there: boolean): Json =>
    there ? { [name]: value } : {};
  return {
    entries: entries.map((entry) => ({
      entry_id: entry.id,
      spiffe_id: entry.spiffe_id,
      parent_id: entry.parent_id,
      selectors: entry.selectors,
      x509_svid_ttl: entry.x509_svid_ttl,
      jwt_svid_ttl: entry.jwt_svid_ttl,
      ...given('federates_with', entry.federates_with, entry.federates_with.length > 0),
      ...given('dns_names', entry.dns_names, entry.dns_names.length > 0),
      ...given('hint', entry.hint, entry.hint !== ''),
      ...given('entryExpiry', entry.expires_at, entry.expires_at !== 0),
      ...given(ATTRIBUTES, { jwt_svid_include_jti: true }, entry.jwt_svid_include_jti),
      revision_number: entry.revision_number,
      created_at: entry.created_at,
    })),
  };
}
