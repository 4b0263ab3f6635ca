import { parseSpiffeId, pathOf, type SpiffeId } from '#identity/spiffe-id.ts';

const ANY_NAME = '/*';

/** The ID of a workload: a SPIFFE ID with a path. A trust domain by itself receives nothing. */
export function isWorkloadId(text: string): text is SpiffeId {
  const id = parseSpiffeId(text);
  return id.ok && pathOf(id.value) !== '';
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

/** True when one entry is exactly `self`, or a pattern whose star is `self`'s last segment. */
export function audienceIncludes(audience: readonly string[], self: SpiffeId): boolean {
  const parent = `${self.slice(0, self.lastIndexOf('/'))}${ANY_NAME}`;
  return audience.some((entry) => entry === self || (entry === parent && isRolePattern(entry)));
}

/** The two sides count `rsq` under the same name: the audience as it was signed. */
export function audienceKey(audience: readonly string[]): string {
  return audience.join(' ');
}
