import { type CodeEntry, RECORD_CODES, type RecordCode } from '#custody/codes.ts';

const forged = (meaning: string, signerKnown = false) =>
  ({ kind: 'not-authentic', meaning, signerKnown }) as const;
const denied = (meaning: string, signerKnown = false) =>
  ({ kind: 'not-allowed', meaning, signerKnown }) as const;
const later = (meaning: string, signerKnown = false) =>
  ({ kind: 'unavailable', meaning, signerKnown }) as const;

/** Why the gate refuses a connection, in the order of its checks. */
export const GATE_CODES = {
  GATE_REQUEST_MALFORMED: forged('The authorization request is not one that a server signed.'),
  GATE_NO_CERTIFICATE: forged('The connection presented no verified client certificate.'),
  GATE_SVID_INVALID: forged('The certificate is not a valid X.509-SVID of a trusted domain.'),
  GATE_SVID_REVOKED: denied('The SVID or its identity is on the deny-list.'),
  GATE_CONNECT_CONTRADICTS: forged('CONNECT names another identity, or offers another credential.'),
  GATE_NOT_A_MEMBER: denied('The identity is genuine and not a member of this swarm.'),
  GATE_NO_PERMISSIONS: denied('The policy grants this identity nothing.'),
  GATE_PERMISSIONS_MALFORMED: later('The policy answered with a subject that cannot be granted.'),
  GATE_DECISION_FAILED: later('The gate could not decide; nothing is granted.'),
  GATE_SVID_NOT_LOGGED: later(
    'Nobody who is pinned has stated that the certificate was issued, also not a while later.',
  ),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type GateCode = keyof typeof GATE_CODES;

/** Why the door refuses a message, beside the codes of the record itself. */
export const DOOR_ONLY_CODES = {
  DOOR_HEADERS_MALFORMED: forged('The message has headers that cannot be read.'),
  DOOR_SUBJECT_UNEXPECTED: forged(
    'The message came on a subject that this receiver does not serve.',
  ),
  DOOR_PRESENTER_UNKNOWN: forged('The subject names no member of the swarm as its publisher.'),
  DOOR_REPLY_INVALID: forged('The reply subject is not an inbox of the caller for this service.'),
  DOOR_SIGNER_NOT_PRESENTER: forged('The record is not by the member who published it.', true),
  DOOR_SIGNER_UNEXPECTED: forged('The answer is not by the member who was asked.', true),
  DOOR_PARENT_MISSING: forged('The answer does not name the request among its causes.', true),
  DOOR_NOT_PERMITTED: denied('The policy does not let this sender say this here.', true),
  DOOR_PAYLOAD_INVALID: forged('The signed payload is not what this subject carries.', true),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type DoorCode = keyof typeof DOOR_ONLY_CODES | RecordCode;

/** Every code with which the door refuses. */
export const DOOR_CODES: Readonly<Record<DoorCode, CodeEntry>> = {
  ...DOOR_ONLY_CODES,
  ...RECORD_CODES,
};

/** Why a request over the bus has no verified answer. */
export const REQUEST_CODES = {
  REQUEST_TIMED_OUT: later('No acceptable answer came in time.'),
  REQUEST_NO_RESPONDER: later('No instance of the service is connected.'),
  REQUEST_REFUSED_BY_PEER: denied('The service says that its door refused the request.'),
  REQUEST_CLOSED: later('The client was closed.'),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type RequestCode = keyof typeof REQUEST_CODES;

/** What a signed payload of the bus's own formats can be wrong in. */
export const PAYLOAD_CODES = {
  HTTP_MESSAGE_MALFORMED: forged(
    'The payload is not a request or response in its strict form.',
    true,
  ),
  RECEIPT_MALFORMED: forged('The payload is not a receipt of the ledger.', true),
} as const satisfies Readonly<Record<string, CodeEntry>>;
export type PayloadCode = keyof typeof PAYLOAD_CODES;

/** What should have happened and has not, or should not have: told past the broker, never over it. */
export const ALARM_CODES = {
  ACK_MISSING: 'A receiver has not acknowledged a message for 10 s.',
  RECEIPT_MISSING: 'The ledger has given no receipt for a record for 10 s.',
  INCLUSION_MISSING: 'The ledger gave a receipt for a record, and does not prove that it holds it.',
  RSQ_GAP: 'Messages of a sender were missed before one that came.',
  CHECKPOINT_STALE: 'No quorum of the witnesses has cosigned a tree head for 10 s.',
  WITNESS_SILENT: 'A witness has cosigned nothing for 10 s, while a quorum has.',
  WITNESS_FORK: 'The log signed two histories, and a witness keeps the proof.',
  LEDGER_REWRITTEN: 'Storage holds another history than the one that was witnessed.',
} as const;
export type AlarmCode = keyof typeof ALARM_CODES;
