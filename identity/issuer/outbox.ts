import { createHash, X509Certificate } from 'node:crypto';
import type { OutboxPage } from './link-messages.ts';
import type { Outbox } from './link-server.ts';
import type { Issuance } from './log.ts';
import type { Store } from './store.ts';

/** One answer stays well below the line that the link takes. */
const PAGE_BYTES = 512 * 1024;
const ROWS_PER_PAGE = 500;

/**
 * What waits to be entered in the ledger. Of tokens only the place is told: they are accepted nowhere
 * on the bus, a workload may have ten a second, and whom it asks for them is between it and them. The
 * issuer's own log has every one.
 */
export function createOutbox(
  store: Pick<Store, 'pending' | 'acknowledge' | 'authorities' | 'jwtAuthorities'>,
): Outbox {
  return {
    pending: (after) => {
      const rows: OutboxPage['rows'] = [];
      let [upTo, size] = [after, 0];
      for (const { seq, body } of store.pending(ROWS_PER_PAGE, after)) {
        // As it stands, whatever it is: the launcher tells what it cannot read, and reads on.
        const { kind, audience: _audience, ...issuance } = issuanceOf(body);
        if (kind !== 'jwt') {
          size += body.length;
          if (rows.length > 0 && size > PAGE_BYTES) break;
          rows.push({ seq, issuance });
        }
        upTo = seq;
      }
      return { rows, upTo };
    },
    acknowledge: store.acknowledge,
    authorities: () => {
      const x509 = store.authorities().map(({ id, state, certificate }) => {
        const { validFromDate, validToDate } = new X509Certificate(certificate);
        return {
          id,
          use: 'x509' as const,
          state,
          not_before: seconds(validFromDate),
          not_after: seconds(validToDate),
          fingerprint: createHash('sha256').update(certificate).digest('base64url'),
          certificate: Buffer.from(certificate).toString('base64'),
        };
      });
      const jwt = store.jwtAuthorities().map(({ id, state, notBefore, notAfter }) => ({
        id,
        use: 'jwt' as const,
        state,
        not_before: notBefore,
        not_after: notAfter,
        fingerprint: id,
        certificate: '',
      }));
      return { authorities: [...x509, ...jwt] };
    },
  };
}

/** Nothing where there is no issuance in it. */
function issuanceOf(body: string): Partial<Issuance> {
  try {
    return Object(JSON.parse(body));
  } catch {
    return {};
  }
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
