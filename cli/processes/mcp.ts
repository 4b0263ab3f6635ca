import { openMcp } from '#services/mcp/open.ts';
import { runService } from '../wiring/service-process.ts';

runService('mcp', openMcp);
