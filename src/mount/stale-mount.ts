import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { MountTableEntry } from './mount-table.ts';

const run = promisify(execFile);

/** The file system type both drivers mount with. */
export const MOUNT_TYPE = 'fuse.galleonfs';

const PROBE_TIMEOUT_MS = 3000;

/**
 * Whether this is a GalleonFS mount whose daemon is gone. Another process looks, since a look at a live mount of our own
 * would make us wait for ourselves; a mount that does not answer in time counts as alive.
 */
export async function isStale(entry: MountTableEntry): Promise<boolean> {
  if (entry.type !== MOUNT_TYPE) return false;
  try {
    await run('stat', ['--file-system', '--', entry.mountPoint], {
      timeout: PROBE_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: { ...process.env, LC_ALL: 'C' },
    });
    return false;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    return said.includes('not connected') || said.includes('Connection aborted');
  }
}
