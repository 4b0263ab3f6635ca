import { Command } from 'commander';

export function whyCommand(): Command {
  return new Command('why');
}
