/** A procedure the district has agreed upon: what it is for, and the tool that carries it out. */
export interface Runbook {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export const RUNBOOKS: readonly Runbook[] = [
  {
    id: 'slow-traffic',
    title: 'Slow traffic on a main road',
    text: 'Traffic is slow: the mean speed on a road drops well below its usual value while the flow of vehicles stays normal. Longer green phases on the main direction let the queue clear.',
    tool: 'signal.set_plan',
    arguments: { plan: 'B' },
  },
  {
    id: 'congestion',
    title: 'Congestion, standing vehicles',
    text: 'Congestion or a traffic jam: vehicles stand still, the vehicle count and occupancy are far above normal and queues reach back to the previous crossing. Meter the inflow to the district.',
    tool: 'signal.set_plan',
    arguments: { plan: 'C' },
  },
  {
    id: 'traffic-normal',
    title: 'Traffic back to normal',
    text: 'Traffic has recovered: speed, flow and occupancy are back to normal after an incident was resolved. Return the signals to the standing plan.',
    tool: 'signal.set_plan',
    arguments: { plan: 'A' },
  },
  {
    id: 'sensor-fault',
    title: 'Faulty sensor',
    text: 'A sensor or camera is faulty: readings freeze, are missing, jump to impossible values or disagree with every neighbour. Do not act on them; read the state of the works and report for maintenance.',
    tool: 'valve.status',
    arguments: {},
  },
  {
    id: 'flooding',
    title: 'Flooded road or high water',
    text: 'Flooding: the water level rises, rain water stands on the road or in an underpass. Open the drain valve in a small step and watch the level.',
    tool: 'valve.set',
    arguments: { delta_pct: 5 },
  },
  {
    id: 'low-pressure',
    title: 'Low water pressure',
    text: 'Water pressure in the main is low, a leak or a burst pipe is suspected. Close the valve by a small step to save pressure until the crew arrives.',
    tool: 'valve.set',
    arguments: { delta_pct: -5 },
  },
  {
    id: 'air-quality',
    title: 'Poor air quality',
    text: 'Air quality is poor: particulates or nitrogen dioxide near the road exceed the limit. Smooth the traffic to shorten idling at red lights.',
    tool: 'signal.set_plan',
    arguments: { plan: 'B' },
  },
  {
    id: 'event-crowd',
    title: 'Crowd after an event',
    text: 'A large crowd of pedestrians leaves a stadium, concert or market. Give pedestrians longer phases and keep vehicles out of the district.',
    tool: 'signal.set_plan',
    arguments: { plan: 'C' },
  },
];

/**
 * The text as stored and as shown to a model. Its last line names the tool, so that a prompt which
 * quotes the text carries everything a model needs to propose it.
 */
export function runbookText(runbook: Runbook): string {
  return `Runbook ${runbook.id}: ${runbook.title}. ${runbook.text}\nTool: ${runbook.tool} ${JSON.stringify(runbook.arguments)}`;
}
