/** Refusals of the wiring: why a swarm does not come up, or a service does not act on a cause. */
export const WIRING_CODES = {
  IMAGE_UNSIGNED: 'The image of issuer or witness, which nobody attests, is not signed by CI.',
  ISSUER_UNAVAILABLE: 'The issuer was started without its link to the launcher.',
  STREAMS_NOT_MADE: 'The broker did not make the streams, or a receiver of one.',
  PLATFORM_QUARANTINED: 'A gate or the ledger got no identity from the issuer.',
  CUSTODY_FOLDER_OF_ANOTHER: 'The keys in the state folder are those of another trust domain.',
  CUSTODY_PINS_DAMAGED: 'The pinned keys of log and witnesses, or a change of them, is damaged.',
  ROLLOVER_FAILED: 'The keys in force cannot agree to a change, or there are none yet.',
  WITNESS_KEY_CHANGED: 'A witness has another key than the one that is pinned for it.',
  ISSUANCE_NOT_ATTESTED:
    'The issuer issued a certificate of a member to no process that was started for it.',
  LOG_NOT_OPENED: 'The log of a swarm with one shared key could not be opened.',
  SUPERVISOR_NOT_CONNECTED: 'The supervisor itself could not enter the broker.',
  WORKLOAD_DENIED: 'The issuer refused a process an identity, and gave no code for it.',
  CAUSE_NOT_RECORDED: 'The ledger does not hold the record that a call names as its cause.',
  RECORD_UNKNOWN: 'The ledger holds no record of the id that evidence is asked for.',
  AGENT_UNKNOWN: 'No agent of the running swarm has this name, or more than one has.',
  ROLLOUT_UNSIGNED: 'An image that CI has not signed is not rolled out.',
  ROLLOUT_OTHER_ROLE: 'An image is rolled out only to agents of its own role.',
  ROLLOUT_FAILED: 'What was rolled out did not come up with an identity; the agent runs as before.',
} as const;

/** What the broker itself refuses a member who is let in, as its own log tells it. */
export const BROKER_CODES = {
  PUBLISH_DENIED: 'The broker did not take a message: this member may not publish there.',
  SUBSCRIBE_DENIED: 'The broker did not take a subscription: this member may not read there.',
} as const;
export type BrokerCode = keyof typeof BROKER_CODES;

export type WiringCode = keyof typeof WIRING_CODES;

/** What an audit of a ledger and its traces finds, beside what makes evidence unproven. */
export const AUDIT_CODES = {
  AUDIT_NOT_WHOLE:
    'The evidence is not of the ledger from its first entry on: gaps cannot be told.',
  AUDIT_SEQ_GAP: 'A sender’s session lacks numbers: records that it made are not in the ledger.',
  AUDIT_PRV_BROKEN: 'A record names another one as its sender’s last than the one that was.',
  AUDIT_RSQ_GAP: 'Messages of a sender to one receiver lack numbers.',
  AUDIT_EQUIVOCATION: 'A sender gave one number to two records.',
  AUDIT_NOT_ACKNOWLEDGED: 'A receiver has not acknowledged a message that is recorded.',
  AUDIT_ACKNOWLEDGED_UNRECORDED: 'A receiver acknowledged a message that is not in the ledger.',
  AUDIT_UNANSWERED: 'An order or a request has neither an answer nor a refusal.',
  AUDIT_ANSWER_FOREIGN: 'A record answers an order or a request that was addressed to others.',
  AUDIT_UNUSED: 'A receiver acknowledged a proposal, and nothing names it as its cause.',
  AUDIT_SPAN_MISSING: 'A record has no span: nobody told of making it.',
  AUDIT_RECORD_MISSING: 'A span tells of a record that is not in the ledger.',
  AUDIT_SPAN_DIFFERS: 'A span tells something else of a record than the record says.',
} as const;
export type AuditCode = keyof typeof AUDIT_CODES;
