import type { Directory } from '#bus/directory.ts';
import type { Verified } from '#bus/verified.ts';
import type { Envelope } from './codec.ts';

/**
 * What roles and services take for verified: here, what the message says of itself. `undefined` when
 * it names a sender that the swarm has not.
 */
export function believe<T>(
  message: Envelope,
  subject: string,
  payload: T,
  directory: Directory,
): Verified<T> | undefined {
  const sender = directory.byToken(message.from);
  if (sender === undefined) return undefined;
  const { id: recordId, kind: knd, causes: par, tool } = message;
  return {
    ok: true,
    signedBy: sender.id,
    sender,
    recordId,
    // Nobody signed this; what has no meaning here is empty.
    claims: {
      iss: sender.id,
      aud: [],
      sbj: subject,
      knd,
      jti: '',
      iat: 0,
      exp: 0,
      sid: '',
      seq: 0,
      rsq: 0,
      par,
      pdg: '',
      ...(tool !== undefined && { tool }),
    },
    subject,
    payload,
    gap: 0,
  };
}
