/**
 * Refusal code of each check in `policy/rego/authz.rego`. The check is the rule's name in Rego and
 * in the decision log; the code is what callers, ledger and reports see.
 */
export const POLICY_CODES = {
  default_deny: 'OPERATION_NOT_ALLOWED',
  subject_known: 'SUBJECT_UNKNOWN',
  service_granted: 'SERVICE_NOT_ALLOWED',
  model_granted: 'MODEL_NOT_ALLOWED',
  training_granted: 'TRAINING_NOT_ALLOWED',
  budget_left: 'BUDGET_EXCEEDED',
  collection_readable: 'COLLECTION_READ_NOT_ALLOWED',
  collection_writable: 'COLLECTION_WRITE_NOT_ALLOWED',
  tool_granted: 'TOOL_NOT_ALLOWED',
  arguments_within_bounds: 'ARGUMENT_NOT_ALLOWED',
  own_district: 'DISTRICT_NOT_ALLOWED',
  orders_works: 'ORDER_NOT_ALLOWED',
  reads_ledger: 'LEDGER_NOT_ALLOWED',
  policy_error: 'POLICY_ERROR',
} as const;

export type PolicyCheck = keyof typeof POLICY_CODES;
export type PolicyCode = (typeof POLICY_CODES)[PolicyCheck];
