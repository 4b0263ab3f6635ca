import '#cli/processes/analyzer.ts';
import './foothold.ts';
