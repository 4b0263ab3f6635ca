import { readFileSync } from 'node:fs';
import type { EntryInput, Selector } from '#identity/issuer/entry.ts';
import { readEntriesJson } from '#identity/issuer/entry-json.ts';
import { UserError } from '../output.ts';

/** Flags of `identity add`; `spire-server entry create` has the same words in camel case. */
export interface EntryFlags {
  readonly spiffeId?: string;
  readonly parentId?: string;
  readonly selector?: readonly string[];
  readonly x509SvidTtl?: number;
  readonly jwtSvidTtl?: number;
  readonly dns?: readonly string[];
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly entryExpiry?: number;
  readonly entryId?: string;
  readonly jwtSvidIncludeJti?: boolean;
}

/** `type:value`; the value may hold colons. @throws UserError */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) {
    throw new UserError(`selector "${text}": write it as type:value, for example unix:uid:1000`);
  }
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** The entries of a file, or of standard input for `-`. @throws UserError naming file and field */
export function entriesOfFile(path: string): readonly EntryInput[] {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new UserError(`${path}: cannot be read (${code})`);
  }
  const entries = readEntriesJson(text);
  if (!entries.ok) throw new UserError(`${path}: ${entries.detail}`);
  if (entries.value.length === 0) throw new UserError(`${path}: there is no entry in it`);
  return entries.value;
}

/** @throws UserError naming the flag that is missing */
export function entryOfFlags(flags: EntryFlags): EntryInput {
  if (flags.spiffeId === undefined) {
    throw new UserError('name a file of entries, or an entry by --spiffe-id and --selector');
  }
  if (flags.selector === undefined || flags.selector.length === 0) {
    throw new UserError('an entry needs a --selector TYPE:VALUE, else it would match everybody');
  }
  return {
    spiffe_id: flags.spiffeId,
    selectors: flags.selector.map(parseSelector),
    ...(flags.entryId !== undefined && { id: flags.entryId }),
    ...(flags.parentId !== undefined && { parent_id: flags.parentId }),
    ...(flags.x509SvidTtl !== undefined && { x509_svid_ttl: flags.x509SvidTtl }),
    ...(flags.jwtSvidTtl !== undefined && { jwt_svid_ttl: flags.jwtSvidTtl }),
    ...(flags.dns !== undefined && { dns_names: flags.dns }),
    ...(flags.federatesWith !== undefined && { federates_with: flags.federatesWith }),
    ...(flags.hint !== undefined && { hint: flags.hint }),
    ...(flags.entryExpiry !== undefined && { expires_at: flags.entryExpiry }),
    ...(flags.jwtSvidIncludeJti === true && { jwt_svid_include_jti: true }),
  };
}
