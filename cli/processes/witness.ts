import { startWitness } from '#runtime/witness/service.ts';
import { keysOf } from '../wiring/pins.ts';
import { runProcess } from '../wiring/process.ts';
import { witnessConfigSchema } from './configs.ts';

/**
 * A witness of the ledger. It has no identity and no broker: it hears the log over its own socket
 * and tells its launcher over the channel it was born with, so that neither the broker nor the
 * ledger can silence it.
 */
runProcess(async ({ start, report }) => {
  const config = witnessConfigSchema.parse(start.config);
  const witness = await startWitness({
    keyName: config.keyName,
    pinned: config.pinned,
    folder: config.folder,
    socketPath: config.socket,
    logs: new Map([[config.origin, keysOf(config.logKeys)]]),
    clock: Date.now,
    onCosigned: (size, time) => report({ type: 'cosigned', size, time }),
    onFork: (origin) => {
      const detail = `${config.keyName}: ${origin} signed two histories; the proof is kept`;
      report({ type: 'alarm', code: 'WITNESS_FORK', detail });
    },
  });
  if (!witness.ok) throw new Error(`${witness.code}: ${witness.detail}`);
  report({ type: 'witness', vkey: witness.value.vkey });
  return { close: witness.value.close, status: witness.value.status };
});
