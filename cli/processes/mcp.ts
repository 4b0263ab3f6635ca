import { runService } from '../wiring/service-process.ts';

runService('mcp');
