/** Refusals of an agent on another machine that wants to join, beside those that the issuer gives. */
export const NODE_CODES = {
  NODE_UNREACHABLE: 'The node endpoint cannot be reached, or broke off.',
  NODE_SERVER_UNPROVEN: 'What answers there did not prove to be the issuer of the trust domain.',
  NODE_ANSWER_INVALID: 'The issuer answered what was not asked, or an SVID that is not valid.',
  NODE_KEPT_UNUSABLE: 'What the agent kept of its identity cannot be read, or has ended.',
  NODE_TOKEN_MISSING: 'The agent has not joined yet, and was given no token to join with.',
} as const;
export type NodeCode = keyof typeof NODE_CODES;
