import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { BusLink } from '#bus/client/link.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_CHECKPOINTS } from '#bus/subjects.ts';
import { createLogHeads } from '#custody/ledger/head.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import { isRefuted } from '#custody/ledger/past.ts';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { ledgerConfigSchema } from '../processes/configs.ts';
import { ledgerSigner } from './custody-keys.ts';
import { type HeadKeeper, keepHeads } from './ledger-heads.ts';
import { keysOf, logPolicyOf } from './pins.ts';
import { type ProcessContext, secretOf } from './process.ts';

/** A witness that hangs costs a head no longer than this; a quorum without it, nothing. */
const WITNESS_MS = 1000;
/** For witnesses that are starting too; without them no head is signed, and records are taken. */
const COMPARE_MS = 5000;
const AGAIN_MS = 250;
const REPAIR =
  "put the broker's storage back as it was, or begin another ledger in a folder of its own (--state-dir)";

/**
 * The tree of a ledger that has been restored from storage, and its heads. Changes of keys are
 * entered first: from them on, the new keys sign.
 * @throws Error with `LEDGER_REWRITTEN` or `LEDGER_TRUNCATED` where storage is not what was signed
 * for, as the last stored checkpoint or a witness shows it.
 */
export async function openLogKeeper(
  { start, report }: ProcessContext,
  link: BusLink,
  ledger: Ledger,
  /** This process cannot go on: one line. */
  end: (why: string) => void,
): Promise<HeadKeeper> {
  const config = ledgerConfigSchema.parse(start.config);
  const policy = logPolicyOf(start);
  const checkpoints = createStreamStorage({
    link,
    self: start.self,
    stream: LEDGER_CHECKPOINTS,
    nonce: randomBytes(8).toString('hex'),
    onForeign: end,
  });
  const heads = createLogHeads({
    entries: ledger.entries(),
    durable: ledger.durable,
    signer: ledgerSigner(policy.origin, secretOf(start, 'ledgerKey')),
    logKeys: keysOf(config.logKeys),
    policy,
    witnesses: config.witnesses.map(({ name, socket }) =>
      createWitnessClient({ name, socketPath: socket, timeoutMs: WITNESS_MS }),
    ),
    store: async (note) => {
      const id = `checkpoint.${note.split('\n', 2)[1]}`;
      const stored = checkpoints.append([{ bytes: Buffer.from(note), id }]);
      return (await stored.catch(() => 0)) === 1;
    },
  });
  const refuted = (code: string, detail: string): string => {
    report({ type: 'alarm', code: 'LEDGER_REWRITTEN', detail: `${code}: ${detail}` });
    return `${code}: ${detail}; ${REPAIR}`;
  };
  const last = await checkpoints.last();
  const restored = heads.restore(last === undefined ? [] : [Buffer.from(last).toString('utf8')]);
  if (!restored.ok) throw new Error(refuted(restored.code, restored.detail));
  for (const until = performance.now() + COMPARE_MS; ; await pause(AGAIN_MS)) {
    const compared = await heads.compare();
    if (compared.ok) break;
    if (isRefuted(compared.code)) throw new Error(refuted(compared.code, compared.detail));
    if (performance.now() < until) continue;
    process.stderr.write(`no head is signed yet: ${compared.detail}\n`);
    break;
  }
  for (const note of config.rollovers) {
    const entered = await ledger.enter(note);
    if (!entered.ok) throw new Error(`a change of keys is not entered: ${entered.detail}`);
  }
  return keepHeads({
    ledger,
    heads,
    clock: Date.now,
    onDoubt: (code, detail) => process.stderr.write(`not cosigned: ${code} ${detail}\n`),
    onRefuted: (code, detail) => end(refuted(code, detail)),
  });
}
