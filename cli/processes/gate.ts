import { startGate } from '#bus/gate/gate.ts';
import { nkeyFromSeed } from '#bus/gate/nkey.ts';
import { grantsOf } from '../wiring/grants.ts';
import { brokerOf, identityOf } from '../wiring/own-identity.ts';
import { livePolicy } from '../wiring/policy.ts';
import { directoryOf, runProcess, secretOf } from '../wiring/process.ts';
import { standingOf } from '../wiring/standing.ts';

runProcess(async (context) => {
  const { start, report } = context;
  const directory = directoryOf(start);
  const policy = await livePolicy(start);
  const standing = standingOf(context);
  const source = await identityOf(context, standing);
  const { url, brokerId } = brokerOf(start);
  const gate = await startGate({
    connection: {
      source,
      url,
      brokerId,
      clock: Date.now,
      random: Math.random,
      nkeySeed: secretOf(start, 'gateSeed'),
    },
    issuer: nkeyFromSeed('account', secretOf(start, 'issuerSeed')),
    member: (id) => directory.byId(id),
    ...grantsOf(policy),
    standing,
    onDecision: (outcome) => {
      if (outcome.ok) return;
      process.stderr.write(`refused ${outcome.code}: ${outcome.detail}\n`);
      report({ type: 'refused', code: outcome.code, detail: outcome.detail });
    },
  });
  return {
    close: async () => {
      await gate.close();
      source.close();
    },
    status: () => ({ ...gate.status(), revision: policy.revision }),
    onPolicy: (next) => policy.replace(next),
  };
});
