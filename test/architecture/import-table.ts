import { PRODUCT_FOLDERS, type ProductFolder } from './sources.ts';

const ALL = [...PRODUCT_FOLDERS];

/** What each folder may import beside itself; docs/architecture.md shows the same table. */
export const IMPORT_TABLE: Readonly<Record<ProductFolder, readonly ProductFolder[]>> = {
  identity: [],
  custody: ['identity'],
  policy: ['identity'],
  bus: ['identity', 'custody'],
  services: ['bus', 'custody', 'identity', 'policy'],
  agents: ['bus', 'custody', 'identity'],
  runtime: ['identity', 'custody', 'policy', 'bus'],
  scenarios: ['identity', 'custody', 'bus', 'runtime'],
  observability: ALL.filter((folder) => folder !== 'scenarios' && folder !== 'cli'),
  cli: ALL,
};
