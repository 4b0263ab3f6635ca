import type { Supervisor } from '#runtime/supervisor/supervisor.ts';
import { isWitness, WITNESS_NAMES } from '#runtime/witness/names.ts';
import type { Alarms } from './alarms.ts';
import type { WitnessedSize } from './witnesses.ts';

export interface CheckpointWatch {
  /** Call it once a second, from when the swarm runs. */
  tick(): void;
  close(): void;
}

/** High-risk tools stop at the same age. A head is cosigned again every few seconds. */
export const STALE_MS = 10_000;

/**
 * Watches that tree heads go on being witnessed, by what witnesses tell the supervisor themselves:
 * whoever stops the ledger, or keeps the two apart, cannot make that look quiet.
 */
export function watchCheckpoints(options: {
  readonly supervisor: Pick<Supervisor, 'onEvent' | 'process'>;
  readonly alarms: Pick<Alarms, 'raise' | 'over'>;
  /** The newest time (seconds) by which a quorum had cosigned. */
  readonly newest: () => WitnessedSize | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}): CheckpointWatch {
  const { supervisor, alarms, newest, now } = options;
  /** Of the watch: until then nothing was to be heard. */
  let began: number | undefined;
  /** Witness → when it last told of a cosignature. */
  const heard = new Map<string, number>();
  /** Raised when it is so twice: what was told may lie unread behind a long turn of this process. */
  const seen = new Set<string>();

  const stop = supervisor.onEvent((event) => {
    if (event.type !== 'started' || !isWitness(event.name)) return;
    supervisor.process(event.name)?.onMessage((message) => {
      if (message.type === 'cosigned') heard.set(event.name, now());
    });
  });

  function judge(
    code: 'CHECKPOINT_STALE' | 'WITNESS_SILENT',
    about: string,
    detail: string | undefined,
  ): void {
    const key = `${code} ${about}`;
    if (detail === undefined) {
      seen.delete(key);
      alarms.over(code, about);
    } else if (seen.has(key)) alarms.raise(code, detail, about);
    else seen.add(key);
  }

  return {
    tick() {
      const at = now();
      began ??= at;
      const age = at - Math.max(began, (newest()?.time ?? 0) * 1000);
      const stale = age > STALE_MS;
      const seconds = Math.floor(age / 1000);
      judge(
        'CHECKPOINT_STALE',
        'ledger',
        stale ? `no tree head was cosigned by a quorum for ${seconds} s` : undefined,
      );
      for (const name of WITNESS_NAMES) {
        const silent = at - Math.max(began, heard.get(name) ?? 0);
        // While nothing is cosigned at all, no witness can be told from the others.
        if (stale || silent <= STALE_MS) judge('WITNESS_SILENT', name, undefined);
        else {
          judge(
            'WITNESS_SILENT',
            name,
            `${name} cosigned nothing for ${Math.floor(silent / 1000)} s`,
          );
        }
      }
    },
    close: stop,
  };
}
