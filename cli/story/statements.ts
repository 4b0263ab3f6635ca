import { inert } from '#agents/text.ts';
import { openStatement, statementKind } from '#custody/log/statement.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import type { Telling } from './tell.ts';

const MAX_TEXT = 300;
const SHORT = 12;

/** What a statement says, in one line. Its signature was verified when it was entered. */
export function tellStatement(note: string): Telling {
  const kind = statementKind(note);
  if (kind === undefined)
    return { what: 'key change', text: 'the ledger or a witness changes keys' };
  const opened = openStatement(note, [], 0);
  const text = opened.ok ? textOf(opened.value) : 'of a kind that this version does not read';
  return { what: kind, text: inert(text, MAX_TEXT) };
}

function textOf(statement: Extract<ReturnType<typeof openStatement>, { ok: true }>['value']) {
  switch (statement.kind) {
    case 'issuance':
      return `${pathOf(statement.id)}, serial ${statement.serial.slice(-4)}, ${statement.exp - statement.nbf} s`;
    case 'revocation':
      return `certificate ${statement.thumbprint.slice(0, SHORT)}: ${statement.reason}`;
    case 'attestation':
      return `${pathOf(statement.id)} runs image ${statement.image}, ${statement.digest.slice(0, 19)}`;
    case 'authority':
      return `${statement.use} key ${statement.authority.slice(0, SHORT)} is ${statement.state}`;
    case 'policy':
      return `rules ${statement.revision.slice(0, SHORT)} decide from now on`;
    case 'bundle':
      return `${statement.domain} publishes bundle ${statement.sequence}`;
    default:
      return statement satisfies never;
  }
}
