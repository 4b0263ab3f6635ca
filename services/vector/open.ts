import { z } from 'zod';
import { openDoor } from '../door.ts';
import { EMBEDDING_DIMENSION, embed } from '../llm/embedding.ts';
import { authorizerOf, faults, type Service, type ServiceDeps } from '../service.ts';
import { createVectorApp, seedRunbooks } from './app.ts';
import { openVectorStore } from './store.ts';

/** What the vector service takes in the swarm file beside the common keys: nothing. */
export const schema = z.strictObject({});

export function openVector(deps: ServiceDeps): Service {
  const authorize = authorizerOf(deps, 'vector');
  schema.parse(deps.config);
  const store = openVectorStore({
    path: deps.database ?? ':memory:',
    collections: deps.collections ?? [],
    dimension: EMBEDDING_DIMENSION,
    ...(deps.extensionPath !== undefined && { extensionPath: deps.extensionPath }),
  });
  seedRunbooks(store, 'runbooks', { embed, self: deps.self, now: deps.now });
  const app = createVectorApp({ app: faults(deps), authorize, store, embed, now: deps.now });
  const close = async () => {
    await app.close();
    store.close();
  };
  return { handle: openDoor(app), close };
}
