import type { SpiffeId } from '#identity/spiffe-id.ts';

const ANY_NAME = '/*';
/** SPIFFE-ID 2.3. */
const MAX_ID_BYTES = 2048;
const MAX_AUDIENCES = 16;
/** `parseSpiffeId` with a path, in one expression: asked several times of each record. */
const WORKLOAD_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)+$/;

/** The ID of a workload: a SPIFFE ID with a path. A trust domain by itself receives nothing. */
export function isWorkloadId(text: string): text is SpiffeId {
  return text.length <= MAX_ID_BYTES && WORKLOAD_ID.test(text);
}

/**
 * `prefix/*`, where prefix is a workload's path. The star stands for exactly one whole segment and
 * only at the end, so that a pattern names the holders of one role in one place, never a subtree.
 */
export function isRolePattern(text: string): boolean {
  return text.endsWith(ANY_NAME) && isWorkloadId(text.slice(0, -ANY_NAME.length));
}

export function isAudience(text: unknown): text is string {
  return typeof text === 'string' && (isWorkloadId(text) || isRolePattern(text));
}

/** 1 to 16 entries, none twice: what a record is addressed to. */
export function isAudienceList(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MAX_AUDIENCES &&
    value.every(isAudience) &&
    new Set(value).size === value.length
  );
}

/** True when one entry is exactly `self`, or a pattern whose star is `self`'s last segment. */
export function audienceIncludes(audience: readonly string[], self: SpiffeId): boolean {
  const parent = `${self.slice(0, self.lastIndexOf('/'))}${ANY_NAME}`;
  return audience.some((entry) => entry === self || (entry === parent && isRolePattern(entry)));
}

/** The two sides count `rsq` under the same name: the audience as it was signed. */
export function audienceKey(audience: readonly string[]): string {
  return audience.join(' ');
}
