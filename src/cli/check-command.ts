import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { Option, type Command } from 'commander';
import { readCatalogCopy } from '../catalog/index.ts';
import { storagePath, type VolumeView } from '../daemon/index.ts';
import { GalleonError, toGalleonError, toProblem } from '../errors/index.ts';
import { StoreCheck } from '../storage/index.ts';
import { findCheckTargets, type CheckTarget, type CheckTargets } from '../volume/index.ts';
import { showingCheckProgress } from './check-progress.ts';
import { Context } from './context.ts';
import { describeCheck, describeRepairs, type CheckedVolume, type CheckResult } from './describe-check.ts';

interface CheckOptions {
  readonly all?: boolean;
  readonly repair?: boolean;
  readonly yes?: boolean;
}

/** `galleonfs check`: works on the files, without the daemon. */
export function addCheckCommand(program: Command): void {
  program
    .command('check')
    .description('verify the store of a volume that is not open, to the last block; changes nothing without --repair')
    .argument('[volume|directory]', "a volume's name, or the directory of a store")
    .option('-a, --all', 'every volume of the storage path, and the catalog against the stores')
    .option('--repair', 'repair what is safe to repair, after saying what that is; then check again')
    .addOption(new Option('-y, --yes', 'do not ask before repairing').implies({ repair: true }))
    .addHelpText(
      'after',
      '\nExit code 0: everything adds up. 7: something does not. 34: the volume is open; stop the daemon first.\n\nExamples:\n  galleonfs check database\n  galleonfs check --all --json\n  galleonfs check database --repair',
    )
    .action(async (what: string | undefined, options: CheckOptions, command: Command) => {
      const context = Context.of(command);
      if ((what === undefined) !== (options.all === true)) {
        throw new GalleonError('USAGE_INVALID', 'check needs the name of a volume, or --all');
      }
      const { targets, mismatches } = await targetsOf(context, what);
      const volumes: CheckedVolume[] = [];
      for (const target of targets) volumes.push(await checkOne(target, options, context));
      const failure = failureOf(volumes, mismatches);
      const result: CheckResult = { ok: failure === undefined, volumes, catalog: mismatches };
      context.print(result, () => describeCheck(result));
      if (failure !== undefined) throw failure;
    });
}

async function targetsOf(context: Context, what: string | undefined): Promise<CheckTargets> {
  if (what?.includes('/') === true || what === '.') {
    return { targets: [{ name: what, directory: resolve(what) }], mismatches: [] };
  }
  const paths = storagePath(context.configuration.storagePath);
  // A running daemon has the catalog, but not the stores of volumes it could not open.
  const volumes = await context
    .withDaemon(async (client) => await client.get<VolumeView[]>('/volumes'))
    .then((views) => views.map(({ name, id }) => ({ name, id })))
    .catch(async (error: unknown) => {
      if (error instanceof GalleonError && error.code === 'DAEMON_UNREACHABLE')
        return await readCatalogCopy(paths.catalog);
      throw error;
    });
  return await findCheckTargets(volumes, paths.volumes, what);
}

async function checkOne(target: CheckTarget, options: CheckOptions, context: Context): Promise<CheckedVolume> {
  const { repair = false } = options;
  try {
    using check = await StoreCheck.begin(target.directory, { writable: repair });
    let report = await showingCheckProgress(target.name, check);
    const repairs = repair ? describeRepairs(target.name, report) : '';
    if (repairs !== '') {
      await agreeTo(repairs, options.yes === true, context.json);
      await check.repair();
      report = await showingCheckProgress(target.name, check);
    }
    const volumeId = Buffer.from(report.volumeId).toString('hex');
    return { ...target, report: { ...report, volumeId }, repaired: repairs !== '', problem: null };
  } catch (error) {
    const failure = toGalleonError(error);
    if (failure.kind === 'cancelled' || failure.kind === 'invalid_argument') throw failure;
    return { ...target, report: null, repaired: false, problem: toProblem(failure) };
  }
}

/** Says what a repair would do, on stderr, and asks. @throws GalleonError USAGE_INVALID, OPERATION_CANCELLED */
async function agreeTo(repairs: string, yes: boolean, json: boolean): Promise<void> {
  if (!json || !yes) process.stderr.write(`${repairs}\n`);
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new GalleonError('USAGE_INVALID', 'a repair needs --yes where nobody can be asked; nothing was changed');
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Do this? [y/N] ');
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new GalleonError('OPERATION_CANCELLED', 'nothing was changed');
}

/** The gravest first: what does not add up, then what could not be checked. */
function failureOf(volumes: readonly CheckedVolume[], mismatches: readonly string[]): GalleonError | undefined {
  const wrong = volumes.filter(({ report }) => report !== null && report.errors + report.damages > 0);
  if (wrong.length > 0 || mismatches.length > 0) {
    const names = wrong.map(({ name }) => `"${name}"`);
    const what = [...names, ...(mismatches.length > 0 ? ['the catalog'] : [])].join(', ');
    return new GalleonError('STORE_CHECK_FAILED', `not all adds up in ${what}`);
  }
  const unchecked = volumes.find(({ problem }) => problem !== null)?.problem;
  if (unchecked === null || unchecked === undefined) return undefined;
  return new GalleonError(unchecked.code, unchecked.detail);
}
