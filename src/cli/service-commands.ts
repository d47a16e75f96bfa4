import { resolve } from 'node:path';
import type { Command } from 'commander';
import { SETTINGS } from '../config/index.ts';
import { GalleonError } from '../errors/index.ts';
import { installService, systemd, uninstallService, type ServiceReport, type ServiceStep } from '../service/index.ts';

interface ServiceOptions extends Readonly<Record<string, unknown>> {
  readonly root?: string;
  readonly prefix?: string;
  readonly now?: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

/** Settings that make no sense in a service. */
const NOT_OF_A_SERVICE: readonly string[] = ['demoMode', 'noSupervisor'];

/** `galleonfs install-service` and `galleonfs uninstall-service`. */
export function addServiceCommands(program: Command): void {
  program
    .command('install-service')
    .description('have systemd run the daemon: units, and settings in /etc/galleonfs')
    .option('--prefix <dir>', 'where GalleonFS is installed (default: where this program is)')
    .option('--root <dir>', 'write below this directory instead of /, such as for a package')
    .option('--now', 'start it at once')
    .option('--force', 'also overwrite units that somebody changed')
    .option('-n, --dry-run', 'only show what would be done')
    .addHelpText(
      'after',
      '\nFlags such as --storage-path, --mount-point and --bind-address go into /etc/galleonfs/galleonfs.json.\n\nExamples:\n  sudo galleonfs install-service --now\n  sudo galleonfs install-service --storage-path /srv/galleonfs --dry-run',
    )
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ServiceOptions>();
      const root = rootOf(options);
      const report = await installService(
        {
          root,
          prefix: resolve(options.prefix ?? resolve(import.meta.dirname, '../..')),
          settings: settingsOf(options),
          now: options.now === true,
          force: options.force === true,
          dryRun: options.dryRun === true,
        },
        systemd(),
      );
      print(report, options);
    });

  program
    .command('uninstall-service')
    .description('stop the service and take away what install-service wrote; volumes stay')
    .option('--root <dir>', 'remove below this directory instead of /')
    .option('--force', 'also remove files that were changed since')
    .option('-n, --dry-run', 'only show what would be done')
    .action(async (_options: unknown, command: Command) => {
      const options = command.optsWithGlobals<ServiceOptions>();
      const { force = false, dryRun = false } = options;
      print(await uninstallService({ root: rootOf(options), force, dryRun }, systemd()), options);
    });
}

/** @throws GalleonError OPERATION_NOT_PERMITTED */
function rootOf({ root, dryRun }: ServiceOptions): string {
  if (root !== undefined) return resolve(root) === '/' ? rootOf({}) : resolve(root);
  if (process.getuid?.() !== 0 && dryRun !== true) {
    const message =
      'a system service is installed and removed by root: run this with sudo, or give --root or --dry-run';
    throw new GalleonError('OPERATION_NOT_PERMITTED', message);
  }
  return '';
}

/** What was given on the command line, as the configuration file has it. @throws GalleonError CONFIG_INVALID */
function settingsOf(options: ServiceOptions): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const { key, flag, parse } of Object.values(SETTINGS)) {
    const given = options[key];
    if (given === undefined || NOT_OF_A_SERVICE.includes(key)) continue;
    try {
      const value = parse(given);
      // Paths are absolute now; the rest stays as it was written.
      settings[key] = typeof value === 'string' ? value : given;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new GalleonError('CONFIG_INVALID', `${flag}: ${error.message}`, { cause: error });
    }
  }
  return settings;
}

function print(report: ServiceReport, options: ServiceOptions): void {
  const text = [...report.steps.map((step) => describe(step, report.dryRun)), ...report.notes].join('\n');
  process.stdout.write(`${options['json'] === true ? JSON.stringify(report, undefined, 2) : text}\n`);
}

const DONE = {
  write: 'Wrote',
  keep: 'Kept',
  remove: 'Removed',
  'make directory': 'Made directory',
  run: 'Ran',
} as const;

function describe(step: ServiceStep, dryRun: boolean): string {
  const what = step.action === 'run' ? step.command : step.path;
  return dryRun ? `Would ${step.action} ${what}` : `${DONE[step.action]} ${what}`;
}
