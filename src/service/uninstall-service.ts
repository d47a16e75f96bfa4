import { readdir } from 'node:fs/promises';
import { InstalledFiles } from './installed-files.ts';
import { UNIT_DIRECTORY } from './install-service.ts';
import type { ServiceManager } from './service-manager.ts';
import type { ServiceReport, ServiceStep } from './service-report.ts';

export interface UninstallServiceRequest {
  /** Stands before every path; '' is this system itself. */
  readonly root: string;
  /** Also remove files that were changed since. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/**
 * Stops the daemon, which unmounts everything, and takes away what `installService` put in place, as far as it is unchanged.
 * Volumes and settings of the user's own stay.
 *
 * @throws GalleonError SERVICE_MANAGER_FAILED: nothing was removed then; SERVICE_RECORD_DAMAGED
 */
export async function uninstallService(
  { root, force, dryRun }: UninstallServiceRequest,
  manager: ServiceManager,
): Promise<ServiceReport> {
  const installed = await InstalledFiles.read(root);
  const steps: ServiceStep[] = [];
  const notes: string[] = [];
  const isManaged = root === '' && manager.isRunning;
  async function tell(...command: string[]): Promise<void> {
    if (!dryRun) await manager.systemctl(...command);
    steps.push({ action: 'run', command: `systemctl ${command.join(' ')}` });
  }

  if (installed.paths.length === 0)
    return { dryRun, steps, notes: ['There is nothing to remove: it is not installed.'] };
  if (isManaged) {
    // Its users first: the daemon unmounts what is left.
    await tell('stop', 'galleonfs-mount@*.service');
    await tell('disable', '--now', ...(await enabledMounts()), 'galleonfs.service');
  }
  for (const path of installed.paths) {
    if ((await installed.content(path)) === undefined) continue;
    if (!force && !(await installed.isUnchanged(path))) {
      steps.push({ action: 'keep', path });
      notes.push(`${path} was changed since it was installed, so it stays; --force removes it.`);
      continue;
    }
    if (!dryRun) await installed.remove(path);
    steps.push({ action: 'remove', path });
  }
  if (!dryRun) {
    await installed.removeRecord();
    // The innermost first.
    for (const path of installed.directories.sort().reverse()) {
      if (await installed.removeDirectory(path)) steps.push({ action: 'remove', path });
    }
  }
  if (isManaged) await tell('daemon-reload');
  notes.push('Volumes were not touched: they are in the storage path.');
  return { dryRun, steps, notes };
}

/** Instances of galleonfs-mount@.service that are started at boot. */
async function enabledMounts(): Promise<string[]> {
  const entries = await readdir(UNIT_DIRECTORY, { recursive: true });
  const names = entries.map((entry) => entry.split('/').at(-1) ?? '');
  return [...new Set(names.filter((name) => /^galleonfs-mount@.+\.service$/.test(name)))].sort();
}
