import { benchEndToEnd } from './custody/end-to-end.ts';
import { benchEvidence } from './custody/evidence.ts';
import { benchAppends, benchCheckpointLag } from './custody/ledger.ts';
import { benchLog } from './custody/log.ts';
import type { BenchResult } from './custody/measure.ts';
import { benchRecords } from './custody/records.ts';

/** Costs of records, tree, ledger, witnesses and offline verification. */
export async function benchCustody(): Promise<BenchResult[]> {
  return [
    ...(await benchRecords()),
    ...benchLog(),
    ...(await benchEndToEnd()),
    ...(await benchAppends()),
    ...(await benchCheckpointLag()),
    ...(await benchEvidence()),
  ];
}
