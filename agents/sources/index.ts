import { z } from 'zod';
import type { Outcome } from '#identity/outcome.ts';
import type { AgentCode } from '../codes.ts';
import { csvSchema, openCsv } from './csv.ts';
import { ndjsonSchema, openNdjson } from './ndjson.ts';
import { openSimulated, simulatedSchema } from './simulated.ts';
import type { Source } from './source.ts';

/** Every kind of source, by name. A new one is a file and a line in each of the three lists. */
export const sourceSchemas = {
  csv: csvSchema,
  ndjson: ndjsonSchema,
  simulated: simulatedSchema,
} as const;

/** `source:` of a sensor in the swarm file. */
export const sourceSchema = z.discriminatedUnion('kind', [
  csvSchema,
  ndjsonSchema,
  simulatedSchema,
]);
export type SourceConfig = z.infer<typeof sourceSchema>;

/** Opens a source. Relative paths are the caller's to resolve; errors are one line with the fix. */
export async function openSource(config: SourceConfig): Promise<Outcome<Source, AgentCode>> {
  switch (config.kind) {
    case 'csv':
      return openCsv(config);
    case 'ndjson':
      return openNdjson(config);
    case 'simulated':
      return openSimulated(config);
    default:
      return config satisfies never;
  }
}
