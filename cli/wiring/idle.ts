import type { RecordClaims } from '#custody/record.ts';
import type { RunningSwarm } from './swarm.ts';

const LOOK_EVERY_MS = 200;
/** Nothing new for so long, twice what an acknowledgement takes, means that nothing is under way. */
const QUIET_MS = 2000;

type Report = Readonly<Record<string, unknown>> | undefined;

const numberOr0 = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** How many records of a process the ledger has neither taken nor refused, by its own report. */
function unconfirmedIn(report: Report): number {
  return numberOr0(Object(report?.ledger).unconfirmed);
}

/** How many questions and orders of an agent have no answer yet, by its own report. */
function openIn(report: Report): number {
  return numberOr0(Object(report?.role).open);
}

/** How many entries the ledger says that it has; other processes say nothing of the kind. */
function entriesIn(report: Report): number {
  return numberOr0(report?.entries);
}

/** Acknowledgements, and questions to the ledger about itself with their answers. */
function isOfTheLedgerAlone({ knd, sbj }: RecordClaims): boolean {
  const parts = sbj.split('.');
  const asked = parts[0] === 'svc' && parts[1] === 'ledger';
  return knd === 'ack' || asked || (parts[0] === '_INBOX' && parts[2] === 'ledger');
}

/**
 * Resolves when every source has ended, its readings are acknowledged, no agent waits for an answer,
 * all that any process sent is in the ledger, and the view of it has all of it and for a while grows
 * only by what the ledger itself causes: what the readings led to is done. Who is behind is quiet
 * too: quiet says nothing.
 */
export function whenIdle({ status, ledger, swarm }: RunningSwarm): Promise<void> {
  const sensors = new Set(
    swarm.agents
      .filter(({ config }) => 'source' in Object(config))
      .map(({ member }) => member.token),
  );
  return new Promise((resolve) => {
    let grownAt = performance.now();
    const stop = ledger.onEntry((entry) => {
      // Certificates are renewed whether or not anything is under way.
      if (entry.type === 'statement') return;
      if (entry.type === 'record' && isOfTheLedgerAlone(entry.record.claims)) return;
      grownAt = performance.now();
    });
    const timer = setInterval(() => {
      const { processes } = status();
      const sources = processes.filter(({ name }) => sensors.has(name));
      if (!sources.every(({ report }) => report?.phase === 'done')) return;
      if (processes.some(({ report }) => unconfirmedIn(report) > 0)) return;
      // A model may think for longer than anything else is quiet.
      if (processes.some(({ report }) => openIn(report) > 0)) return;
      if (processes.some(({ report }) => entriesIn(report) > ledger.size())) return;
      if (performance.now() - grownAt < QUIET_MS) return;
      clearInterval(timer);
      stop();
      resolve();
    }, LOOK_EVERY_MS);
  });
}
