import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createNoteSigner, type NoteSigner } from '#custody/log/keys.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { writeDurably } from '#runtime/durable-file.ts';
import { keyFromSecret, keySecret, openKeyFile, openPinnedKeyFile } from '#runtime/key-file.ts';
import { type CustodyHistory, policyInForce, readHistory } from './custody-policy.ts';

/**
 * What the supervisor holds for custody. The log's private key goes to the ledger process alone;
 * the attester's stays here: it is not under the authority, so who steals the authority's key can
 * issue certificates and cannot state that they were issued.
 */
export interface CustodyKeys {
  /** `<trust domain>/ledger/<8 hex>`: names this log, and the log's key. */
  readonly origin: string;
  readonly trustDomain: string;
  /** The log's verifier key, as c2sp.org/signed-note spells it. */
  readonly logKey: string;
  /** For `secrets.ledgerKey` of the ledger's start message; see `ledgerSigner`. */
  readonly ledgerSecret: string;
  readonly attester: NoteSigner;
  readonly attesterKey: string;
  /** The keys of log and witnesses, then and now; absent before the first start pinned them. */
  readonly history?: CustodyHistory;
}

type CustodyKeysCode = 'KEY_FILE_UNUSABLE' | 'CUSTODY_FOLDER_OF_ANOTHER' | 'CUSTODY_PINS_DAMAGED';

const ORIGIN_FILE = 'origin';
export const LEDGER_KEY_FILE = 'ledger.key';
const ATTESTER_KEY_FILE = 'attester.key';

/** What signs checkpoints, made from the secret that the ledger process was given. */
export function ledgerSigner(origin: string, secret: string): NoteSigner {
  return createNoteSigner({ name: origin, use: 'note', key: keyFromSecret(secret) });
}

async function readOrigin(folder: string): Promise<string | undefined> {
  try {
    return (await readFile(join(folder, ORIGIN_FILE), 'utf8')).trimEnd();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Opens the keys of a run, made at its first start and kept from then on. The origin is written
 * last: where it is, the keys must be. A new key in the place of a lost one would let a log that
 * forgot its past look like the one that others have pinned.
 */
export async function openCustodyKeys(options: {
  /** The run's own folder for them, 0700. */
  readonly folder: string;
  /** Absent where a swarm has begun and is only to be read: then it is the one of the origin. */
  readonly trustDomain?: string;
}): Promise<Outcome<CustodyKeys, CustodyKeysCode>> {
  const { folder } = options;
  const kept = await readOrigin(folder);
  const [, ofOrigin] = /^(.+)\/ledger\/[0-9a-f]{8}$/.exec(kept ?? '') ?? [];
  const trustDomain = options.trustDomain ?? ofOrigin;
  if (trustDomain === undefined || (kept !== undefined && ofOrigin !== trustDomain)) {
    return refuse(
      'CUSTODY_FOLDER_OF_ANOTHER',
      `${join(folder, ORIGIN_FILE)}: no origin of ${trustDomain ?? 'a log'}; choose another folder with --state-dir`,
    );
  }
  const history = await readHistory(folder);
  if (!history.ok) return history;
  const origin = kept ?? `${trustDomain}/ledger/${randomBytes(4).toString('hex')}`;
  const absent = kept === undefined ? 'make' : 'refuse';
  const logPath = join(folder, LEDGER_KEY_FILE);
  const pinned = history.value && policyInForce(history.value).log.map(({ vkey }) => vkey);
  const log =
    pinned === undefined
      ? await openKeyFile(logPath, absent)
      : await openPinnedKeyFile(logPath, (key) =>
          pinned.includes(ledgerSigner(origin, keySecret(key)).verifier.vkey),
        );
  if (!log.ok) return log;
  const attesterKey = await openKeyFile(join(folder, ATTESTER_KEY_FILE), absent);
  if (!attesterKey.ok) return attesterKey;
  if (kept === undefined) await writeDurably(join(folder, ORIGIN_FILE), `${origin}\n`);
  const ledgerSecret = keySecret(log.value);
  const attester = createNoteSigner({
    name: `${trustDomain}/attester`,
    use: 'note',
    key: attesterKey.value,
  });
  return accept({
    origin,
    trustDomain,
    logKey: ledgerSigner(origin, ledgerSecret).verifier.vkey,
    ledgerSecret,
    attester,
    attesterKey: attester.verifier.vkey,
    ...(history.value && { history: history.value }),
  });
}
