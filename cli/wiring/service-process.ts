import { randomBytes } from 'node:crypto';
import { accept } from '#identity/outcome.ts';
import type { CallWorks } from '#services/mcp/tools.ts';
import type { OpenService } from '#services/service.ts';
import { serviceConfigSchema } from '../processes/configs.ts';
import { joinSwarm, type Membership } from './membership.ts';
import { messageOf, runProcess } from './process.ts';
import { servicePolicy } from './service-policy.ts';

const WORKS_TIMEOUT_MS = 5000;

/** A service's process: its app behind the bus, each request verified before the app sees it. */
export function runService(name: string, open: OpenService): void {
  runProcess(async (context) => {
    const { start } = context;
    const config = serviceConfigSchema.parse(start.config);
    const policy = await servicePolicy(start);
    const member = await joinSwarm(context);
    const decisions = { allowed: 0, denied: 0 };
    const service = await open({
      self: start.self.id,
      config: config.service,
      policy,
      now: () => new Date(),
      tick: () => process.hrtime.bigint(),
      randomId: () => randomBytes(16).toString('base64url'),
      onDecision: (entry) => {
        decisions[entry.result.allow ? 'allowed' : 'denied'] += 1;
        process.stdout.write(`${JSON.stringify({ decision: entry })}\n`);
      },
      onFault: (error) => process.stderr.write(`fault: ${messageOf(error)}\n`),
      models: config.models,
      collections: config.collections,
      tools: config.tools,
      database: config.database,
      ...(start.secrets?.upstreamApiKey !== undefined && {
        upstreamApiKey: start.secrets.upstreamApiKey,
      }),
      ...(name === 'mcp' && { callWorks: callWorks(member), witnessed: member.recorded }),
      ...(name === 'city-works' && { observe: { socketPath: config.observe } }),
    });
    await member.serve(name, (request) => service.handle(request));
    return {
      close: async () => {
        await member.close();
        await service.close();
      },
      status: () => ({ decisions: { ...decisions }, revision: policy.revision }),
      onPolicy: (next) => policy.replace(next),
    };
  });
}

/** The tool server's way to the city works: a request of its own that names its cause. */
function callWorks({ bus }: Membership): CallWorks {
  return async ({ request, recordKind, cause, tool }) => {
    const result = await bus.request({
      service: 'city-works',
      request,
      recordKind,
      causes: [cause],
      tool,
      timeoutMs: WORKS_TIMEOUT_MS,
    });
    return result.ok ? accept({ response: result.payload, recordId: result.recordId }) : result;
  };
}
