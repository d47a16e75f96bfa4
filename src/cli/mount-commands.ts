import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { MountBody, UnmountBody } from '../api/index.ts';
import type { VolumeDetails } from '../daemon/index.ts';
import { GalleonError } from '../errors/index.ts';
import { unmountLeftover } from '../mount/index.ts';
import { Context } from './context.ts';
import { MOUNT_OPTIONS_HELP, mountOptionsArgument } from './mount-options.ts';

interface MountCommandOptions {
  readonly options?: NonNullable<MountBody['options']>;
  readonly allowOther?: boolean;
  readonly ifNeeded?: boolean;
}

/** `galleonfs mount` and `galleonfs unmount`. */
export function addMountCommands(program: Command): void {
  program
    .command('mount')
    .description('mount a volume; the path and options are used again when the daemon starts')
    .argument('<volume>')
    .argument('[path]', 'an empty directory, made if missing (default: <mount-point>/<volume>)')
    .option('-o, --options <list>', MOUNT_OPTIONS_HELP, mountOptionsArgument)
    .option('--if-needed', 'succeed when it is mounted already, where it is to be')
    .addHelpText('after', '\nExamples:\n  galleonfs mount database\n  galleonfs mount database /srv/db -o ro,uid=1000')
    .action(async (volume: string, path: string | undefined, _options: unknown, command: Command) => {
      const context = Context.of(command);
      const { options = {}, allowOther, ifNeeded } = command.optsWithGlobals<MountCommandOptions>();
      const body: MountBody = {
        ...(path === undefined ? {} : { path: resolve(path) }),
        options: { ...options, ...(allowOther === true ? { allowOther } : {}) },
      };
      const mounted = await context.withDaemon(async (client) => {
        const there = `/volumes/${encodeURIComponent(volume)}`;
        try {
          return await client.post<VolumeDetails>(`${there}/mount`, body);
        } catch (error) {
          if (ifNeeded !== true || !(error instanceof GalleonError) || error.code !== 'VOLUME_MOUNTED') throw error;
          const present = await client.get<VolumeDetails>(there);
          if (path !== undefined && present.mount?.path !== body.path) throw error;
          return present;
        }
      });
      context.print(mounted, () => `Mounted volume "${volume}": ${mounted.mount?.dataPath ?? ''}`);
    });

  program
    .command('unmount')
    .alias('umount')
    .description('unmount a volume until it is mounted again or the daemon starts anew')
    .argument('<volume|path>')
    .option('-z, --lazy', 'take the mount away at once, even while files on it are open')
    .action(async (target: string, { lazy }: { readonly lazy?: boolean }, command: Command) => {
      const context = Context.of(command);
      const isPath = target.includes('/') || target === '.' || target === '..';
      const body: UnmountBody = { target: isPath ? resolve(target) : target, lazy: lazy === true };
      try {
        const unmounted = await context.withDaemon(
          async (client) => await client.post<VolumeDetails>('/unmount', body),
        );
        context.print(unmounted, () => `Unmounted volume "${unmounted.name}".`);
      } catch (error) {
        if (!(error instanceof GalleonError) || error.code !== 'DAEMON_UNREACHABLE') throw error;
        // What a daemon that cannot be started any more left behind.
        const path = isPath ? resolve(target) : join(context.configuration.mountPoint, target);
        await unmountLeftover(path, { lazy: body.lazy === true }).catch((failure: unknown) => {
          throw failure instanceof GalleonError && failure.code === 'VOLUME_NOT_MOUNTED' ? error : failure;
        });
        context.print({ path }, () => `No daemon answers; took away the mount it left at ${path}.`);
      }
    });
}
