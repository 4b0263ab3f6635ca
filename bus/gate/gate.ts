import type { StandingBook } from '#custody/log/standing.ts';
import type { Outcome } from '#identity/outcome.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import type { BusLink } from '../client/link.ts';
import { type LinkOptions, openLink } from '../client/link.ts';
import type { GateCode } from '../codes.ts';
import {
  type Admission,
  answerCallout,
  type CalloutAnswer,
  type CalloutOptions,
} from './callout.ts';

/** Where nats-server asks; only the gates' account receives it. */
const REQUEST_SUBJECT = '$SYS.REQ.USER.AUTH';
const QUEUE = 'gate';
/** nats-server takes an answer for as long as its `authorization.timeout`, 2 s. */
const PATIENCE_MS = 1500;
const MAX_WAITING = 1024;

export interface GateOptions extends Omit<CalloutOptions, 'verify' | 'clock' | 'judge'> {
  readonly connection: LinkOptions & { readonly nkeySeed: string };
  /** Which certificates are stated as issued, and which as revoked. */
  readonly standing: Pick<StandingBook, 'judge' | 'watch'>;
  /** How long a connection waits for such a statement; below what the server waits for an answer. */
  readonly patienceMs?: number;
  /** Each decision, admissions included; for the log and, as an entry, for the ledger. */
  readonly onDecision: (outcome: Outcome<Admission, GateCode>) => void;
}

export interface GateStatus {
  readonly admitted: number;
  readonly refused: Readonly<Record<string, number>>;
}

export interface Gate {
  status(): GateStatus;
  close(): Promise<void>;
}

/**
 * Serves nats-server's authorization requests. Two gates share a queue group; with none the broker
 * lets nobody in. Resolves when requests arrive here. @throws Error when no connection stands.
 */
export async function startGate(options: GateOptions): Promise<Gate> {
  const { source, clock } = options.connection;
  const link: BusLink = await openLink(options.connection);
  const callout: CalloutOptions = {
    issuer: options.issuer,
    member: options.member,
    permissions: options.permissions,
    judge: options.standing.judge,
    ...(options.malformed === undefined ? {} : { malformed: options.malformed }),
    clock: () => new Date(clock()),
    verify: (chain) => verifyX509Svid(chain, source.bundles(), new Date(clock())),
  };
  let admitted = 0;
  const refused: Record<string, number> = {};
  const waiting = new Set<() => void>();

  function answer(reply: string | undefined, { outcome, response }: CalloutAnswer): void {
    if (reply !== undefined && response !== undefined) {
      link.publish({ subject: reply, payload: Buffer.from(response) });
    }
    if (outcome.ok) admitted += 1;
    else refused[outcome.code] = (refused[outcome.code] ?? 0) + 1;
    options.onDecision(outcome);
  }

  /** Asks again when a statement about the certificate came, and for the last time when time is up. */
  function wait(reply: string | undefined, data: Uint8Array, thumbprint: string): void {
    const look = (last: boolean): void => {
      const again = answerCallout(data, callout);
      if (again.awaits !== undefined && !last) return;
      end();
      answer(reply, again);
    };
    const now = (): void => look(true);
    const end = (): void => {
      clearTimeout(timer);
      unwatch();
      waiting.delete(now);
    };
    waiting.add(now);
    const unwatch = options.standing.watch(thumbprint, () => look(false));
    const timer = setTimeout(now, options.patienceMs ?? PATIENCE_MS);
  }

  link.subscribe(REQUEST_SUBJECT, QUEUE, ({ reply, data }) => {
    const first = answerCallout(data, callout);
    // Who has to be refused for their number comes again, as every client does.
    if (first.awaits === undefined || waiting.size >= MAX_WAITING) answer(reply, first);
    else wait(reply, data, first.awaits);
  });
  await link.flush();
  return {
    status: () => ({ admitted, refused: { ...refused } }),
    close: () => {
      for (const now of [...waiting]) now();
      return link.close();
    },
  };
}
