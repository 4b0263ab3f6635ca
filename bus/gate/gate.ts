import type { Outcome } from '#identity/outcome.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import type { BusLink } from '../client/link.ts';
import { type LinkOptions, openLink } from '../client/link.ts';
import type { GateCode } from '../codes.ts';
import { type Admission, answerCallout, type CalloutOptions } from './callout.ts';

/** Where nats-server asks; only the gates' account receives it. */
const REQUEST_SUBJECT = '$SYS.REQ.USER.AUTH';
const QUEUE = 'gate';

export interface GateOptions extends Omit<CalloutOptions, 'verify' | 'clock'> {
  readonly connection: LinkOptions & { readonly nkeySeed: string };
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
    isRevoked: options.isRevoked,
    ...(options.malformed === undefined ? {} : { malformed: options.malformed }),
    clock: () => new Date(clock()),
    verify: (chain) => verifyX509Svid(chain, source.bundles(), new Date(clock())),
  };
  let admitted = 0;
  const refused: Record<string, number> = {};
  link.subscribe(REQUEST_SUBJECT, QUEUE, ({ reply, data }) => {
    const { outcome, response } = answerCallout(data, callout);
    if (reply !== undefined && response !== undefined) {
      link.publish({ subject: reply, payload: Buffer.from(response) });
    }
    if (outcome.ok) admitted += 1;
    else refused[outcome.code] = (refused[outcome.code] ?? 0) + 1;
    options.onDecision(outcome);
  });
  await link.flush();
  return {
    status: () => ({ admitted, refused: { ...refused } }),
    close: () => link.close(),
  };
}
