import { readFile } from 'node:fs/promises';
import type { Log } from '../lib/index.ts';

const SETTINGS = ['default_request_timeout', 'max_request_timeout'] as const;

/**
 * Warns where the kernel ends FUSE connections whose requests wait too long (Linux 6.15 and later, off by default): it would
 * end the mounts of a daemon that is being replaced.
 */
export async function warnAboutRequestTimeout(log: Log, directory = '/proc/sys/fs/fuse'): Promise<void> {
  for (const setting of SETTINGS) {
    const text = await readFile(`${directory}/${setting}`, 'utf8').catch(() => '0');
    const seconds = Number(text);
    if (seconds > 0) {
      log.warn(
        { setting: `fs.fuse.${setting}`, seconds },
        `the kernel ends mounts whose requests wait longer than ${seconds} s, such as those of a daemon that is being replaced: sysctl fs.fuse.${setting}=0`,
      );
    }
  }
}
