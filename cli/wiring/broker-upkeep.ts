import { accept, type Outcome } from '#identity/outcome.ts';
import type { Credentials } from '#runtime/launcher/isolation.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import { writeBrokerFiles } from './broker.ts';
import { mintSvid, trustBundles } from './minted-source.ts';

const TTL_SECONDS = 86_400;

/**
 * nats-server reads its certificate and its roots from files. A reload disconnects every client
 * that came by the gates, so it happens only when roots change or half of the certificate's life
 * is over, not with every SVID of the swarm.
 */
export interface BrokerUpkeep {
  /** Writes certificate, key and roots. */
  provide(): Promise<Outcome<unknown>>;
  /** The same when it is due; resolves true when files were written and a reload is needed. */
  renew(now: Date): Promise<boolean>;
}

export function createBrokerUpkeep(options: {
  readonly issuer: IssuerLink;
  readonly run: RunFolder;
  readonly trustDomain: string;
  /** Whose the files are to be, when the broker has a uid of its own. */
  readonly owner?: Credentials | undefined;
}): BrokerUpkeep {
  const { issuer, run, trustDomain } = options;
  let roots = '';
  let due = 0;

  async function provide(): Promise<Outcome<unknown>> {
    const svid = await mintSvid(issuer, {
      id: platformMember(trustDomain, 'nats').id,
      ttlSeconds: TTL_SECONDS,
      dns: ['localhost'],
      ip: ['127.0.0.1'],
    });
    if (!svid.ok) return svid;
    const trust = await trustBundles(issuer);
    if (!trust.ok) return trust;
    await writeBrokerFiles(run, svid.value, trust.value, options.owner);
    const { notBefore, notAfter } = svid.value;
    due = (notBefore.getTime() + notAfter.getTime()) / 2;
    roots = fingerprint(trust.value);
    return accept({});
  }

  return {
    provide,
    renew: async (now) => {
      const trust = await trustBundles(issuer);
      // No issuer at this moment: the files stay as they are, and are looked at again.
      if (!trust.ok) return false;
      if (fingerprint(trust.value) === roots && now.getTime() < due) return false;
      try {
        return (await provide()).ok;
      } catch {
        // A full disk, say: the old certificate serves on, and a minute later this is tried again.
        return false;
      }
    },
  };
}

function fingerprint(
  bundles: ReadonlyMap<string, { authorities: readonly { fingerprint256: string }[] }>,
): string {
  return [...bundles.values()]
    .flatMap(({ authorities }) => authorities.map(({ fingerprint256 }) => fingerprint256))
    .sort()
    .join(' ');
}
