import { openCityWorks } from '#services/city-works/open.ts';
import { runService } from '../wiring/service-process.ts';

runService('city-works', openCityWorks);
