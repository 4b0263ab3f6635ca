import { openVector } from '#services/vector/open.ts';
import { runService } from '../wiring/service-process.ts';

runService('vector', openVector);
