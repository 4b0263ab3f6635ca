import type { Member } from '#bus/directory.ts';
import { spiffeId } from '#identity/spiffe-id.ts';

export const TRUST_DOMAIN = 'city.example';

export function agent(role: string, district: string, name: string): Member {
  const id = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/${role}/${district}/${name}`);
  return { id, token: `${role}-${name}`, kind: 'agent', role, district, name };
}

export function service(name: string): Member {
  const id = spiffeId(`spiffe://${TRUST_DOMAIN}/service/${name}`);
  return { id, token: `service-${name}`, kind: 'service', role: name, name };
}

export function platform(name: string): Member {
  const id = spiffeId(`spiffe://${TRUST_DOMAIN}/platform/${name}`);
  return { id, token: `platform-${name}`, kind: 'platform', role: name, name };
}

export const MEMBERS = {
  camera: agent('sensor', 'north', 'cam-1'),
  camera2: agent('sensor', 'north', 'cam-2'),
  analyzer: agent('analyzer', 'north', 'analyzer-1'),
  analyzer2: agent('analyzer', 'north', 'analyzer-2'),
  action: agent('action', 'north', 'action-1'),
  llm: service('llm'),
  mcp: service('mcp'),
  ledger: platform('ledger'),
  gate: platform('gate-a'),
  supervisor: platform('supervisor'),
} as const;
