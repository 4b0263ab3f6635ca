import { z } from 'zod';
import { openDoor } from '../door.ts';
import { authorizerOf, faults, type Service, type ServiceDeps } from '../service.ts';
import { createLlmApp } from './app.ts';
import { createMockModel } from './mock-model.ts';
import { createUpstreamModel } from './upstream.ts';
import { createUsageMeter } from './usage.ts';

const baseUrl = z
  .string()
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: 'an http or https URL, such as http://127.0.0.1:11434/v1',
    abort: true,
  })
  .refine((text) => new URL(text).username === '' && new URL(text).password === '', {
    error: 'no user or password in the URL; the key is given as a secret at start',
  });
const upstream = z.strictObject({
  baseUrl,
  timeoutMs: z.int().min(100).max(120_000).default(20_000),
});

/** What the model service takes in the swarm file beside the common keys. */
export const schema = z.strictObject({ upstream: upstream.optional() });

export function openLlm(deps: ServiceDeps): Service {
  const authorize = authorizerOf(deps, 'llm');
  const config = schema.parse(deps.config);
  const model =
    config.upstream === undefined
      ? createMockModel(() => Math.floor(deps.now().getTime() / 1000))
      : createUpstreamModel({
          ...config.upstream,
          fetch: deps.fetch ?? fetch,
          ...(deps.upstreamApiKey !== undefined && { apiKey: deps.upstreamApiKey }),
        });
  const app = createLlmApp({
    app: faults(deps),
    authorize,
    models: deps.models ?? [],
    model,
    provider: config.upstream === undefined ? 'swarmproof' : 'openai',
    meter: createUsageMeter(() => deps.now().getTime()),
  });
  return { handle: openDoor(app), close: () => app.close() };
}
