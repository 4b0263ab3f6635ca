import { openLlm } from '#services/llm/open.ts';
import { runService } from '../wiring/service-process.ts';

runService('llm', openLlm);
