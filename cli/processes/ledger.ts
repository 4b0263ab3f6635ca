import { randomBytes } from 'node:crypto';
import { openLink } from '#bus/client/link.ts';
import { startLedgerFeed } from '#bus/ledger-feed.ts';
import { createStreamStorage } from '#bus/ledger-storage.ts';
import { LEDGER_ENTRIES } from '#bus/subjects.ts';
import { createLedger } from '#custody/ledger/ledger.ts';
import { isRollover } from '#custody/log/rollover.ts';
import { openStatement } from '#custody/log/statement.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import { accept } from '#identity/outcome.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { openBus } from '../wiring/bus.ts';
import { ownerOfSubject } from '../wiring/door.ts';
import { answerLedgerQuery } from '../wiring/ledger-queries.ts';
import { openLogKeeper } from '../wiring/log-keeper.ts';
import { brokerOf, identityOf } from '../wiring/own-identity.ts';
import { livePolicy } from '../wiring/policy.ts';
import { alarmsTo, directoryOf, runProcess } from '../wiring/process.ts';
import { attesterOf, standingOf } from '../wiring/standing.ts';
import { ledgerConfigSchema } from './configs.ts';

const FLUSH_EVERY_MS = 1000;

/** Whoever has a place in the log that is not this process's own must not write on in it. */
function end(why: string): void {
  process.stderr.write(`${why}\n`);
  process.exit(1);
}

runProcess(async (context) => {
  const { start } = context;
  const { self } = start;
  const directory = directoryOf(start);
  const policy = await livePolicy(start);
  const standing = standingOf(context);
  const source = await identityOf(context, standing);
  const broker = brokerOf(start);
  const link = await openLink({ source, ...broker, clock: Date.now, random: Math.random });
  const storage = createStreamStorage({
    link,
    self,
    stream: LEDGER_ENTRIES,
    nonce: randomBytes(8).toString('hex'),
    onForeign: end,
  });
  const { rollovers } = ledgerConfigSchema.parse(start.config);
  const attester = attesterOf(start);
  const ledger = createLedger({
    storage,
    clock: Date.now,
    verify: (chain, at) => verifyX509Svid(chain, source.bundles(), at),
    ...ownerOfSubject(directory),
    // Changes of keys were judged by the launcher, which pins what they lead to.
    admits: (note) =>
      isRollover(note) && rollovers.includes(note)
        ? accept({})
        : openStatement(note, [attester], 1),
    // A chain begins where something enters the swarm: at a sensor.
    mayMake: (sender, kind) => kind !== 'revoke' && (kind !== 'root' || isSensor(sender)),
  });
  const isSensor = (id: string): boolean =>
    directory.members.some((member) => member.id === id && member.role === 'sensor');
  const restored = await ledger.restore(storage.read());
  if (!restored.ok) throw new Error(`${restored.code}: ${restored.detail}`);
  const heads = await openLogKeeper(context, link, ledger, end);
  // Before this process serves anybody: nobody's certificate stands until its statement is entered.
  context.onStatement(async (note) => {
    const entered = await ledger.enter(note);
    if (entered.ok) context.report({ type: 'entered', note, index: entered.value.index });
    else process.stderr.write(`statement not entered: ${entered.code}: ${entered.detail}\n`);
  });
  const stopTrust = source.onUpdate(() => ledger.trustChanged());
  const signer = createRecordSigner({ source, clock: Date.now, random: randomBytes });
  const feed = startLedgerFeed({
    link,
    self,
    directory,
    ledger,
    sign: (draft) => signer.sign(draft),
  });
  const { propagate } = context.telemetry;
  const onAlarm = alarmsTo(context.report);
  const bus = await openBus({ self, directory, source, ...broker, standing, propagate, onAlarm });
  const queried = { get: ledger.get, prove: heads.prove };
  await bus.serve({
    service: 'ledger',
    handler: async ({ sender, payload }) => ({
      response: await answerLedgerQuery(queried, policy, sender, payload),
    }),
  });
  const timer = setInterval(() => void ledger.flush(), FLUSH_EVERY_MS);
  return {
    close: async () => {
      await bus.close();
      await feed.close();
      clearInterval(timer);
      await ledger.flush({ all: true });
      await heads.close();
      stopTrust();
      await link.close();
      source.close();
    },
    status: () => ({
      ...feed.status(),
      entries: ledger.size(),
      restored: restored.value,
      ...heads.status(),
    }),
    onPolicy: (next) => policy.replace(next),
  };
});
