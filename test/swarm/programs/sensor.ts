import '#cli/processes/sensor.ts';
import './foothold.ts';
