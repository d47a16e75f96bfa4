import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { GalleonError, toGalleonError } from '../errors/index.ts';

const run = promisify(execFile);

/** systemd, as far as an installation needs it. */
export interface ServiceManager {
  readonly isRunning: boolean;
  /** @throws GalleonError SERVICE_MANAGER_FAILED with what systemctl said */
  systemctl(...args: readonly string[]): Promise<string>;
}

export function systemd(): ServiceManager {
  return {
    // sd_booted(3)
    isRunning: existsSync('/run/systemd/system'),
    async systemctl(...args) {
      try {
        const { stdout } = await run('systemctl', args, { env: { ...process.env, LC_ALL: 'C' } });
        return stdout;
      } catch (error) {
        const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
        const reason = said === '' ? toGalleonError(error).message : said;
        throw new GalleonError('SERVICE_MANAGER_FAILED', `systemctl ${args.join(' ')}: ${reason}`, { cause: error });
      }
    },
  };
}
