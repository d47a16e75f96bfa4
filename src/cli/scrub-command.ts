import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ScrubBody } from '../api/index.ts';
import type { JobView } from '../daemon/index.ts';
import { GalleonError, isErrorCode } from '../errors/index.ts';
import type { ScrubFind } from '../storage/index.ts';
import { Context } from './context.ts';
import type { ControlClient } from './control-client.ts';
import { describeJob, describeJobs, progressLine } from './describe-job.ts';
import { sizeArgument } from './parse-arguments.ts';

interface ScrubCommandOptions {
  readonly all?: boolean;
  readonly status?: boolean;
  readonly cancel?: boolean;
  readonly wait?: boolean;
  readonly rate?: number;
}

const RATE_BYTES_MIN = 65536;
const POLL_MS = 250;

/** `galleonfs scrub`. */
export function addScrubCommand(program: Command): void {
  program
    .command('scrub')
    .description('verify volumes against the medium in the background, and heal what can be healed')
    .argument('[volume]')
    .option('-a, --all', 'every volume, one after another')
    .addOption(new Option('--status', 'show the latest scrub, with its finds').conflicts(['cancel', 'wait', 'rate']))
    .addOption(new Option('--cancel', 'end the scrub that is under way').conflicts(['wait', 'rate']))
    .option(
      '-w, --wait',
      'wait for the end, of a scrub under way too; exit code 7 if damage was found that is not healed',
    )
    .option(
      '-r, --rate <size>',
      'bytes a second at most; a quarter of it while the volume is used (default: 100MiB)',
      rateArgument,
    )
    .addHelpText(
      'after',
      '\nExamples:\n  galleonfs scrub database --wait\n  galleonfs scrub --all --rate 20MiB\n  galleonfs scrub database --status',
    )
    .action(async (volume: string | undefined, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const options = command.optsWithGlobals<ScrubCommandOptions>();
      if ((volume === undefined) !== (options.all === true)) {
        throw new GalleonError('USAGE_INVALID', 'scrub needs the name of a volume, or --all');
      }
      await context.withDaemon(async (client) => {
        const jobs = await run(client, volume, options);
        context.print(volume === undefined ? jobs : (jobs[0] ?? null), () => said(jobs, options));
        if (options.wait === true) throwIfBad(jobs);
      });
    });
}

async function run(
  client: ControlClient,
  volume: string | undefined,
  options: ScrubCommandOptions,
): Promise<JobView[]> {
  if (options.status === true) return await latest(client, volume);
  if (options.cancel === true) {
    const active = (await latest(client, volume)).filter(({ endedAt }) => endedAt === null);
    if (active.length === 0 && volume !== undefined) {
      throw new GalleonError('JOB_NOT_FOUND', `volume "${volume}" is not being scrubbed`);
    }
    return await Promise.all(active.map(async ({ id }) => await client.post<JobView>(`/jobs/${id}/cancel`)));
  }
  const jobs = await start(client, volume, options);
  return options.wait === true ? await ended(client, jobs) : jobs;
}

/** Those that are started now; with --wait also those that run already. */
async function start(
  client: ControlClient,
  volume: string | undefined,
  options: ScrubCommandOptions,
): Promise<JobView[]> {
  const { rate, wait } = options;
  const before = wait === true ? (await latest(client, volume)).filter(({ endedAt }) => endedAt === null) : [];
  if (volume !== undefined && before.length > 0) return before;
  const body: ScrubBody = {
    ...(volume === undefined ? {} : { volume }),
    ...(rate === undefined ? {} : { rateBytesPerSecond: rate }),
  };
  return [...before, ...(await client.post<JobView[]>('/scrubs', body))];
}

/** The latest scrub of each volume. @throws GalleonError JOB_NOT_FOUND, VOLUME_NOT_FOUND */
async function latest(client: ControlClient, volume: string | undefined): Promise<JobView[]> {
  if (volume !== undefined) await client.get(`/volumes/${encodeURIComponent(volume)}`);
  const jobs = (await client.get<JobView[]>('/jobs')).filter(({ kind }) => kind === 'scrub');
  const first = new Map<string, JobView>();
  for (const job of jobs) if (!first.has(job.volume)) first.set(job.volume, job);
  return [...first.values()].filter((job) => volume === undefined || job.volume === volume);
}

async function ended(client: ControlClient, jobs: readonly JobView[]): Promise<JobView[]> {
  const live = process.stderr.isTTY;
  for (;;) {
    const now = await Promise.all(jobs.map(async ({ id }) => await client.get<JobView>(`/jobs/${id}`)));
    const running = now.find(({ state }) => state === 'running') ?? now.find(({ endedAt }) => endedAt === null);
    if (live) process.stderr.write(`\r\u001b[K${running === undefined ? '' : progressLine(running)}`);
    if (running === undefined) return now;
    await sleep(POLL_MS);
  }
}

function said(jobs: readonly JobView[], { status, wait, cancel }: ScrubCommandOptions): string {
  const [first] = jobs;
  if (first === undefined) return status === true ? 'Never scrubbed.' : 'Nothing to do.';
  if (status === true || wait === true) return jobs.map(describeJob).join('\n\n');
  if (cancel === true) return describeJobs(jobs);
  return jobs.map(({ id, volume }) => `Scrubbing volume "${volume}": job ${id}.`).join('\n');
}

/** @throws GalleonError STORE_CHECK_FAILED, OPERATION_CANCELLED, or why a job failed */
function throwIfBad(jobs: readonly JobView[]): void {
  for (const { failure, state, volume, results } of jobs) {
    if (failure !== null) {
      throw new GalleonError(isErrorCode(failure.code) ? failure.code : 'INTERNAL', failure.message);
    }
    if (state === 'cancelled')
      throw new GalleonError('OPERATION_CANCELLED', `the scrub of volume "${volume}" was cancelled`);
    const unhealed = (results as readonly ScrubFind[]).filter(({ healed }) => healed === undefined);
    if (unhealed.length > 0) {
      throw new GalleonError('STORE_CHECK_FAILED', `volume "${volume}": ${unhealed.length} finds could not be healed`);
    }
  }
}

function rateArgument(text: string): number {
  const rate = sizeArgument(text);
  if (rate < RATE_BYTES_MIN) throw new InvalidArgumentError('give at least 64KiB');
  return rate;
}
