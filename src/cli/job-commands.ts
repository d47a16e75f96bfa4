import type { Command } from 'commander';
import type { JobView } from '../daemon/index.ts';
import { Context } from './context.ts';
import { describeJob, describeJobs } from './describe-job.ts';

/** `galleonfs job list|show|cancel`. */
export function addJobCommands(program: Command): void {
  const job = program.command('job').description('look at long work, and end it');
  job
    .command('list')
    .alias('ls')
    .description('show what is under way and what has ended last')
    .action(async (_options: unknown, command: Command) => {
      const context = Context.of(command);
      const jobs = await context.withDaemon(async (client) => await client.get<JobView[]>('/jobs'));
      context.print(jobs, () => describeJobs(jobs));
    });
  job
    .command('show')
    .description('show one job')
    .argument('<id>')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const found = await context.withDaemon(async (client) => await client.get<JobView>(jobPath(id)));
      context.print(found, () => describeJob(found));
    });
  job
    .command('cancel')
    .description('end a job')
    .argument('<id>')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const ended = await context.withDaemon(async (client) => await client.post<JobView>(`${jobPath(id)}/cancel`));
      context.print(ended, () => `Cancelled job ${ended.id}, the ${ended.kind} of volume "${ended.volume}".`);
    });
}

function jobPath(id: string): string {
  return `/jobs/${encodeURIComponent(id)}`;
}
