import type { z } from 'zod';
import { actionSchema } from './action.ts';
import { analyzerSchema } from './analyzer.ts';
import { sensorSchema } from './sensor.ts';

export { type ActionConfig, createAction } from './action.ts';
export type { ToolOffer } from './analysis.ts';
export { type AnalyzerConfig, type AnalyzerContext, createAnalyzer } from './analyzer.ts';
export type { Role } from './role.ts';
export { createSensor, type SensorConfig } from './sensor.ts';

/** Every role, with the schema of what its agents have beside role, district and name. */
export const roleSchemas = {
  sensor: sensorSchema,
  analyzer: analyzerSchema,
  action: actionSchema,
} as const satisfies Record<string, z.ZodType>;
export type RoleName = keyof typeof roleSchemas;
