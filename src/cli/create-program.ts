import { Command, Option } from 'commander';
import { loadConfiguration, SETTINGS, formatBindAddress, CONFIG_FILE_VARIABLE } from '../config/index.ts';
import { VERSION } from '../daemon/index.ts';
import { exitCodes, exitCodesOfCodes, GalleonError } from '../errors/index.ts';
import { formatByteSize, formatDuration } from '../lib/index.ts';
import { addCheckCommand } from './check-command.ts';
import { addCompletionCommand } from './completion-command.ts';
import { configurationFrom } from './context.ts';
import { addDaemonCommands } from './daemon-commands.ts';
import { addJobCommands } from './job-commands.ts';
import { addMountCommands } from './mount-commands.ts';
import { runDaemon } from './run-daemon.ts';
import { addServiceCommands } from './service-commands.ts';
import { addScrubCommand } from './scrub-command.ts';
import { unhurried } from './supervise.ts';
import { addVolumeCommands } from './volume-commands.ts';

/** With it the daemon asks whoever started it to start it again, at once. */
const RESTART_EXIT_CODE = 85;

/** The whole command line: flags alone start the daemon, a subcommand talks to it. */
export function createProgram(): Command {
  const program = new Command('galleonfs')
    .description(
      'Block volumes as files: <mount-point>/<volume>/data is a checksummed, journalled block device.\nWithout a command, starts the daemon in the foreground.',
    )
    .usage('[options] [command]')
    .version(VERSION, '-V, --version', 'print the version')
    .argument('[command...]')
    .showHelpAfterError('(see "galleonfs --help")')
    .exitOverride()
    .action(async (words: readonly string[], options: Readonly<Record<string, unknown>>) => {
      if (words[0] !== undefined) {
        throw new GalleonError(
          'USAGE_INVALID',
          `there is no command "${words[0]}"; "galleonfs --help" shows those there are`,
        );
      }
      await unhurried(async () => {
        if ((await runDaemon(configurationFrom(options))) === 'restart') process.exitCode = RESTART_EXIT_CODE;
      });
    });
  addSettings(program);
  program.option('--json', 'subcommands print JSON, and nothing else, on stdout');
  addVolumeCommands(program);
  addMountCommands(program);
  addDaemonCommands(program);
  addScrubCommand(program);
  addCheckCommand(program);
  addServiceCommands(program);
  addJobCommands(program);
  addCompletionCommand(program);
  return program.addHelpText('after', helpText());
}

function addSettings(program: Command): void {
  const defaults = loadConfiguration({
    environment: { HOME: process.env['HOME'], XDG_DATA_HOME: process.env['XDG_DATA_HOME'] },
  });
  const shown: Readonly<Record<string, string>> = {
    storagePath: defaults.storagePath,
    mountPoint: defaults.mountPoint,
    bindAddress: formatBindAddress(defaults.bindAddress),
    fuseDriver: defaults.fuseDriver,
    cacheSizeBytes: formatByteSize(defaults.cacheSizeBytes),
    inFlight: defaults.inFlight,
    scrubIntervalMs: defaults.scrubIntervalMs === null ? 'off' : formatDuration(defaults.scrubIntervalMs),
    logLevel: defaults.logLevel,
  };
  for (const [name, { flag, description }] of Object.entries(SETTINGS)) {
    const fallback = shown[name];
    program.addOption(new Option(flag, fallback === undefined ? description : `${description} (default: ${fallback})`));
  }
  program.addOption(new Option('--config <file>', 'read settings from a JSON file'));
}

function helpText(): string {
  const settings = Object.values(SETTINGS);
  const codes = Object.entries(exitCodes).map(([kind, code]) => `${code} ${kind.replaceAll('_', ' ')}`);
  const special = Object.entries(exitCodesOfCodes).map(([name, code]) => `${code} ${name}`);
  return `
Settings: a flag wins over its environment variable, that over the file, that over the default.
  Variables: ${[...settings.map(({ variable }) => variable), CONFIG_FILE_VARIABLE].join(', ')}
  File keys: ${settings.map(({ key }) => key).join(', ')}

Examples:
  galleonfs --demo-mode --setup-defaults
  galleonfs --storage-path /srv/galleonfs --mount-point /mnt/galleonfs
  galleonfs volume create database --size 10GiB
  mkfs.ext4 /mnt/galleonfs/database/data && mount -o loop /mnt/galleonfs/database/data /mnt/db
  galleonfs status --json

Exit codes: 0 success, ${codes.join(', ')};
  ${special.join(', ')}; ${RESTART_EXIT_CODE}: the daemon asks to be started again.`;
}
