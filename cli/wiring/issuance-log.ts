import { createHash, type KeyObject } from 'node:crypto';
import type { NoteSigner } from '#custody/log/keys.ts';
import { type AttestationClaims, verifyImageSignature } from '#identity/issuer/launcher-link.ts';
import type { Outcome } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { policyRevision } from '#policy/engine.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { Supervisor } from '#runtime/supervisor/supervisor.ts';
import { platformMember, type Swarm } from '#runtime/swarm-file/resolve.ts';
import { WITNESS_NAMES } from '#runtime/witness/names.ts';
import { bootstrapIds } from './bootstrap.ts';
import { createLives, type IssuedRow } from './lives.ts';
import { createStatements, type Statements, type StatementsOptions } from './statements.ts';
import { createTrustStatements } from './trust-statements.ts';

export interface IssuanceLogOptions {
  readonly swarm: Swarm;
  readonly issuer: IssuerLink;
  readonly attester: NoteSigner;
  readonly ciKey: { readonly keyId: string; readonly publicKey: KeyObject };
  readonly alarm: StatementsOptions['alarm'];
  readonly onRevoked?: (row: IssuedRow) => void;
  /** Milliseconds. */
  readonly clock: () => number;
}

/** What of a swarm is stated in the ledger by its launcher, as it happens. */
export interface IssuanceLog
  extends Pick<Statements, 'standing' | 'notes' | 'enter' | 'status' | 'close'> {
  /** In the place of the issuer's own, for the launcher: what is told there is seen here. */
  readonly launcher: {
    readonly attest: (claims: AttestationClaims) => Promise<Outcome<unknown>>;
    readonly exited: (pid: number, startTime: number) => void;
  };
  /** Which rules are handed out from now on. */
  policy(rules: { readonly bundle: Uint8Array; readonly data: unknown }): void;
  /** Speaks with the processes of this supervisor from now on. */
  follow(supervisor: Pick<Supervisor, 'onEvent' | 'process'>): void;
}

/** These judge no certificate. */
const DEAF: ReadonlySet<string> = new Set(['issuer', 'nats', ...WITNESS_NAMES]);

export function openIssuanceLog(options: IssuanceLogOptions): IssuanceLog {
  const { swarm, issuer, ciKey, clock } = options;
  const ledgerName = platformMember(swarm.trustDomain, 'ledger').token;
  const members = new Set<string>(swarm.members.map(({ id }) => id));
  const lives = createLives(clock);
  const judges = new Map<string, RunningProcess>();
  const statements = createStatements({
    signer: options.attester,
    lives,
    issuer,
    isMember: (id) => members.has(id),
    bootstrap: new Set(bootstrapIds(swarm.trustDomain)),
    toLedger: (note) => judges.get(ledgerName)?.send({ type: 'statement', note }),
    toJudges: (notes) => {
      for (const judge of judges.values()) judge.send({ type: 'standing', notes });
    },
    alarm: options.alarm,
    ...(options.onRevoked && { onRevoked: options.onRevoked }),
    clock,
  });
  const trust = createTrustStatements({ issuer, state: statements.state });

  issuer.onMinted(lives.minted);
  issuer.onAttached(() => {
    statements.look();
    statements.entriesChanged();
    trust.look();
  });
  issuer.onEvent(({ event }) => {
    if (event === 'outbox') statements.look();
    if (event === 'entries') statements.entriesChanged();
    if (event === 'authorities') trust.look();
  });

  return {
    launcher: {
      attest: async (claims) => {
        lives.attested(claims);
        const told = await issuer.attest(claims);
        if (told.ok) statements.state(attestationOf(claims, ciKey, clock()));
        else lives.exited(claims.pid, claims.startTime);
        return told;
      },
      exited: (pid, startTime) => {
        lives.exited(pid, startTime);
        issuer.exited(pid, startTime);
      },
    },
    standing: statements.standing,
    notes: statements.notes,
    enter: statements.enter,
    status: statements.status,
    policy: ({ bundle, data }) =>
      statements.state({
        kind: 'policy',
        revision: policyRevision({ bundle, data }),
        digest: createHash('sha256').update(bundle).digest('hex'),
        data: createHash('sha256').update(JSON.stringify(data)).digest('hex'),
        from: Math.floor(clock() / 1000),
      }),
    follow: (supervisor) => {
      supervisor.onEvent(({ type, name }) => {
        if (type === 'exited') judges.delete(name);
        const process = type === 'started' ? supervisor.process(name) : undefined;
        if (process === undefined || DEAF.has(name)) return;
        judges.set(name, process);
        // What came to stand between its start message and now.
        process.send({ type: 'standing', notes: statements.notes() });
        if (name !== ledgerName) return;
        process.onMessage((message) => {
          if (message.type === 'entered') statements.entered(message.note);
        });
        statements.ledgerStarted();
      });
    },
    close: statements.close,
  };
}

function attestationOf(
  { image, workload }: AttestationClaims,
  ciKey: IssuanceLogOptions['ciKey'],
  now: number,
) {
  // The key that an image names is its own word until the signature has verified.
  const signed = image.keyId === ciKey.keyId && verifyImageSignature(image, ciKey.publicKey);
  return {
    kind: 'attestation',
    id: spiffeId(workload.spiffeId),
    image: image.name,
    digest: image.digest,
    key: signed ? image.keyId : '',
    type: workload.agentType,
    instance: workload.instance,
    from: Math.floor(now / 1000),
  } as const;
}
