import { schema as cityWorks, openCityWorks } from './city-works/open.ts';
import { schema as llm, openLlm } from './llm/open.ts';
import { schema as mcp, openMcp } from './mcp/open.ts';
import type { OpenService, Service, ServiceDeps } from './service.ts';
import { openVector, schema as vector } from './vector/open.ts';

export type { DecisionLogEntry } from './authorize.ts';
export type { ServiceReply } from './door.ts';
export type { CallWorks, ToolData } from './mcp/tools.ts';
export type { Service, ServiceDeps } from './service.ts';

/** Every service, with what it takes in the swarm file beside `services`, `models`, `collections`. */
export const serviceSchemas = { llm, vector, mcp, 'city-works': cityWorks } as const;

export type ServiceName = keyof typeof serviceSchemas;
export const SERVICE_NAMES = Object.keys(serviceSchemas) as readonly ServiceName[];

const OPEN: Readonly<Record<ServiceName, OpenService>> = {
  llm: openLlm,
  vector: openVector,
  mcp: openMcp,
  'city-works': openCityWorks,
};

export function isServiceName(name: string): name is ServiceName {
  return Object.hasOwn(serviceSchemas, name);
}

/**
 * Opens a service by its name. A process that runs one service imports that one's `open.ts` alone:
 * its image then holds nothing of the others.
 */
export async function createService(name: ServiceName, deps: ServiceDeps): Promise<Service> {
  return OPEN[name](deps);
}
