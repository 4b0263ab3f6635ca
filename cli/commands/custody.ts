import { Command } from 'commander';

export function custodyCommand(): Command {
  return new Command('custody');
}
