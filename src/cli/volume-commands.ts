import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { CreateVolumeBody, MountBody } from '../api/index.ts';
import type { DamageView, VolumeDetails, VolumeView } from '../daemon/index.ts';
import { GalleonError } from '../errors/index.ts';
import { formatByteSize } from '../lib/index.ts';
import { Context } from './context.ts';
import { describeDamage, describeVolume, describeVolumes } from './describe-volume.ts';
import { MOUNT_OPTIONS_HELP, mountOptionsArgument } from './mount-options.ts';
import { labelArgument, sizeArgument } from './parse-arguments.ts';

interface CreateOptions {
  readonly size: number;
  readonly blockSize?: number;
  readonly class?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly mount: boolean;
  readonly mountOptions?: NonNullable<MountBody['options']>;
  readonly allowOther?: boolean;
}

interface DeleteOptions {
  readonly yes?: boolean;
  readonly force?: boolean;
}

/** `galleonfs volume create|list|show|damage|delete`. */
export function addVolumeCommands(program: Command): void {
  const volume = program.command('volume').description('make, look at and delete volumes');
  addCreate(volume);
  addLooks(volume);
  addDelete(volume);
}

function addCreate(volume: Command): void {
  volume
    .command('create')
    .description('make a volume and mount it')
    .argument('<name>', 'a-z, 0-9, ".", "_", "-"; up to 63 characters')
    .requiredOption(
      '-s, --size <size>',
      '1MiB to 64TiB, such as 10GiB; takes space only as it is written',
      sizeArgument,
    )
    .option('-b, --block-size <size>', '4KiB, 8KiB, 16KiB, 32KiB or 64KiB (default: 4KiB)', sizeArgument)
    .option('-c, --class <class>', 'storage class (default: the default one, see "class list")')
    .option('-l, --label <key=value>', 'a note of yours; can be given several times', labelArgument)
    .option('-o, --mount-options <list>', MOUNT_OPTIONS_HELP, mountOptionsArgument)
    .option('--no-mount', 'do not mount it, now or when the daemon starts')
    .addHelpText(
      'after',
      '\nExamples:\n  galleonfs volume create database --size 10GiB\n  galleonfs volume create logs -s 512M --label team=web --no-mount',
    )
    .action(async (name: string, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const options = command.optsWithGlobals<CreateOptions>();
      const created = await context.withDaemon(
        async (client) => await client.post<VolumeDetails>('/volumes', createBody(name, options)),
      );
      context.print(created, () => {
        const made = `Created volume "${created.name}" (${formatByteSize(created.sizeBytes)}).`;
        const { mount } = created;
        return mount === null
          ? `${made} Mount it: galleonfs mount ${name}`
          : `${made}\nIts block device: ${mount.dataPath}`;
      });
    });
}

function createBody(name: string, options: CreateOptions): CreateVolumeBody {
  const { size, blockSize, class: storageClass, label, mount, mountOptions = {}, allowOther } = options;
  return {
    name,
    sizeBytes: size,
    ...(blockSize === undefined ? {} : { blockSizeBytes: blockSize }),
    ...(storageClass === undefined ? {} : { storageClass }),
    ...(label === undefined ? {} : { labels: label }),
    mount: mount ? { options: { ...mountOptions, ...(allowOther === true ? { allowOther } : {}) } } : null,
  };
}

function addLooks(volume: Command): void {
  volume
    .command('list')
    .alias('ls')
    .description('show all volumes')
    .action(async (_options: unknown, command: Command) => {
      const context = Context.of(command);
      const volumes = await context.withDaemon(async (client) => await client.get<VolumeView[]>('/volumes'));
      context.print(volumes, () => describeVolumes(volumes));
    });
  volume
    .command('show')
    .description('show one volume')
    .argument('<name>')
    .action(async (name: string, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const details = await context.withDaemon(async (client) => await client.get<VolumeDetails>(volumePath(name)));
      context.print(details, () => describeVolume(details));
    });
  volume
    .command('damage')
    .description('show which stored data was found damaged, and where')
    .argument('<name>')
    .action(async (name: string, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const view = await context.withDaemon(
        async (client) => await client.get<DamageView>(`${volumePath(name)}/damage`),
      );
      context.print(view, () => describeDamage(view));
    });
}

function addDelete(volume: Command): void {
  volume
    .command('delete')
    .alias('rm')
    .description('unmount and delete a volume and all its data, for good')
    .argument('<name>')
    .option('-y, --yes', 'do not ask')
    .option('-f, --force', 'even while files on it are open')
    .action(async (name: string, options: DeleteOptions, command: Command) => {
      const context = Context.of(command);
      await context.withDaemon(async (client) => {
        if (options.yes !== true) await confirm(await client.get<VolumeDetails>(volumePath(name)));
        await client.delete(`${volumePath(name)}?force=${String(options.force === true)}`);
      });
      context.print({ deleted: name }, () => `Deleted volume "${name}".`);
    });
}

/** @throws GalleonError USAGE_INVALID without a terminal, OPERATION_CANCELLED when the answer is not yes */
async function confirm(volume: VolumeDetails): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new GalleonError('USAGE_INVALID', `deleting volume "${volume.name}" needs --yes where nobody can be asked`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const used = formatByteSize(volume.liveBytes ?? 0);
  const answer = await terminal.question(`Delete volume "${volume.name}" with ${used} of data, for good? [y/N] `);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new GalleonError('OPERATION_CANCELLED', 'nothing was deleted');
}

function volumePath(name: string): string {
  return `/volumes/${encodeURIComponent(name)}`;
}
