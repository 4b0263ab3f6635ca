import { z } from 'zod';
import { openDoor } from '../door.ts';
import { authorizerOf, faults, type Service, type ServiceDeps } from '../service.ts';
import { createCityWorksApp } from './app.ts';
import { observeWorks } from './observer.ts';
import { openWorks } from './works.ts';

/** What the city works take in the swarm file beside the common keys: nothing. */
export const schema = z.strictObject({});

export async function openCityWorks(deps: ServiceDeps): Promise<Service> {
  const authorize = authorizerOf(deps, 'city-works');
  schema.parse(deps.config);
  const works = openWorks(deps.database ?? ':memory:', deps.now);
  const observer = deps.observe && (await observeWorks(deps.observe, works.state));
  const app = createCityWorksApp({ app: faults(deps), authorize, works });
  const close = async () => {
    await observer?.close();
    await app.close();
    works.close();
  };
  const handle = openDoor(app);
  return observer === undefined
    ? { handle, close }
    : { handle, observedAt: observer.address, close };
}
