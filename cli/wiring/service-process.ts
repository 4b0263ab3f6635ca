import { randomBytes } from 'node:crypto';
import type { BusClient } from '#bus/client/bus-client.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { CallWorks } from '#services/mcp/tools.ts';
import type { OpenService } from '#services/service.ts';
import { serviceConfigSchema } from '../processes/configs.ts';
import { openBus } from './bus.ts';
import { RECORDED_PATH } from './ledger-queries.ts';
import { livePolicy } from './policy.ts';
import { brokerOf, directoryOf, identityOf, messageOf, runProcess } from './process.ts';

const WORKS_TIMEOUT_MS = 5000;
/** Longer than the ledger itself waits for the record. */
const LEDGER_TIMEOUT_MS = 10_000;

/** A service's process: its app behind the bus, each request verified before the app sees it. */
export function runService(name: string, open: OpenService): void {
  runProcess(async (context) => {
    const { start } = context;
    const config = serviceConfigSchema.parse(start.config);
    const policy = await livePolicy(start);
    const source = await identityOf(context);
    const directory = directoryOf(start);
    const bus = await openBus({ self: start.self, directory, source, ...brokerOf(start) });
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
      ...(name === 'mcp' && { callWorks: callWorks(bus), witnessed: recorded(bus) }),
      ...(name === 'city-works' && { observe: { socketPath: config.observe } }),
    });
    await bus.serve({
      service: name,
      handler: (request) => service.handle(request),
    });
    return {
      close: async () => {
        await bus.close();
        await service.close();
        source.close();
      },
      status: () => ({ decisions: { ...decisions }, revision: policy.revision }),
      onPolicy: (next) => policy.replace(next),
    };
  });
}

/** The tool server's way to the city works: a request of its own that names its cause. */
function callWorks(bus: BusClient): CallWorks {
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

/** High-risk tools act only on a cause that the ledger holds. */
function recorded(bus: BusClient): (cause: RecordId) => Promise<Outcome<void>> {
  return async (cause) => {
    const result = await bus.request({
      service: 'ledger',
      request: {
        method: 'POST',
        path: RECORDED_PATH,
        contentType: 'application/json',
        body: JSON.stringify({ id: cause }),
      },
      causes: [cause],
      recordKind: 'tool.call',
      timeoutMs: LEDGER_TIMEOUT_MS,
    });
    if (!result.ok) return result;
    const { index } = JSON.parse(result.payload.body) as { index?: unknown };
    if (result.payload.status === 200 && typeof index === 'number') return accept(undefined);
    return refuse('CAUSE_NOT_RECORDED', 'the ledger does not hold the cause of this call');
  };
}
