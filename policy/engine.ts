import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { loadPolicy } from '@open-policy-agent/opa-wasm';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Decision, DecisionInput, NatsPermissions, Policy } from './decision.ts';

const DECISION = 'swarmproof/authz/decision';
const PERMISSIONS = 'swarmproof/nats/permissions';
const TAR_BLOCK = 512;

export interface PolicyOptions {
  /** OPA bundle, `.tar.gz`. */
  readonly bundle: Uint8Array;
  /** The swarm's grants: the document under `data.swarm`. */
  readonly data: unknown;
  readonly newId?: () => string;
}

/** What a decision names itself by: hex(SHA-256) over the bundle and the data that its rules read. */
export function policyRevision({ bundle, data }: Pick<PolicyOptions, 'bundle' | 'data'>): string {
  const hash = createHash('sha256').update(bundle).update('\0').update(JSON.stringify(data));
  return hash.digest('hex');
}

/**
 * Loads a compiled bundle into the embedded engine. Anything but a well-formed answer denies: an
 * undefined result, an empty list, an error in evaluation.
 * @throws Error when the bundle holds no WebAssembly policy with both entry points.
 */
export async function openPolicy(options: PolicyOptions): Promise<Policy> {
  const newId = options.newId ?? (() => randomBytes(16).toString('base64url'));
  const engine = await loadPolicy(tarEntry(gunzipSync(options.bundle), 'policy.wasm'));
  for (const entrypoint of [DECISION, PERMISSIONS]) {
    if (!(entrypoint in engine.entrypoints)) {
      throw new Error(`policy bundle: entry point ${entrypoint} is missing`);
    }
  }
  engine.setData({ swarm: options.data as object });
  const revision = policyRevision(options);

  const evaluate = (input: object, entrypoint: string): unknown => {
    try {
      return (engine.evaluate(input, entrypoint) as { result?: unknown }[])[0]?.result;
    } catch {
      return undefined;
    }
  };

  return {
    revision,
    decide(input: DecisionInput): Decision {
      const result = evaluate(input, DECISION);
      const base = { id: newId(), obligations: {}, revision };
      if (!isDecision(result)) return { ...base, allow: false, reasons: ['policy_error'] };
      return { ...base, allow: result.allow, reasons: result.reasons };
    },
    permissions(id: SpiffeId): NatsPermissions | undefined {
      const result = evaluate({ id }, PERMISSIONS);
      return isPermissions(result) ? result : undefined;
    },
  };
}

function isDecision(value: unknown): value is { allow: boolean; reasons: string[] } {
  if (typeof value !== 'object' || value === null) return false;
  const { allow, reasons } = value as Record<string, unknown>;
  return typeof allow === 'boolean' && isNames(reasons);
}

function isPermissions(value: unknown): value is NatsPermissions {
  if (typeof value !== 'object' || value === null) return false;
  const { publish, subscribe } = value as Record<string, { allow?: unknown } | undefined>;
  return isNames(publish?.allow) && isNames(subscribe?.allow);
}

function isNames(value: unknown): value is string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === 'string')
  );
}

/** One file of a ustar archive: 512-byte headers, name at 0, octal size at 124. */
function tarEntry(archive: Uint8Array, name: string): Uint8Array<ArrayBuffer> {
  const text = (from: number, length: number): string =>
    Buffer.from(archive.subarray(from, from + length))
      .toString('latin1')
      .replace(/\0.*$/s, '');
  for (let at = 0; at + TAR_BLOCK <= archive.length; ) {
    const entry = text(at, 100).replace(/^\.?\//, '');
    const size = Number.parseInt(text(at + 124, 12), 8);
    if (entry === '' || !Number.isSafeInteger(size)) break;
    if (entry === name)
      return Uint8Array.from(archive.subarray(at + TAR_BLOCK, at + TAR_BLOCK + size));
    at += TAR_BLOCK + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
  throw new Error(`policy bundle: ${name} is missing`);
}
