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
