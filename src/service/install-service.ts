import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseConfigurationFile, loadConfiguration, SYSTEM_DIRECTORIES } from '../config/index.ts';
import { GalleonError } from '../errors/index.ts';
import { InstalledFiles } from './installed-files.ts';
import type { ServiceManager } from './service-manager.ts';
import type { ServiceReport, ServiceStep } from './service-report.ts';
import { readUnit, renderUnit, UNIT_NAMES } from './unit-file.ts';

export const CONFIGURATION_PATH = '/etc/galleonfs/galleonfs.json';
export const UNIT_DIRECTORY = '/etc/systemd/system';

export interface InstallServiceRequest {
  /** Stands before every path that is written; '' is this system itself. */
  readonly root: string;
  /** Where GalleonFS is, on the system that is installed to. */
  readonly prefix: string;
  /** Keys of the configuration file that were asked for. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Start it at once. */
  readonly now: boolean;
  /** Also overwrite units that somebody else wrote or changed. */
  readonly force: boolean;
  readonly dryRun: boolean;
}

/**
 * Puts the units and, where there is none, the configuration file in place and has systemd start the daemon at boot. Doing it
 * again changes nothing, or brings what is there up to date.
 *
 * @throws GalleonError SERVICE_FILE_CHANGED, SERVICE_PATH_UNSUITABLE, SERVICE_RECORD_DAMAGED, SERVICE_MANAGER_FAILED,
 *   CONFIG_INVALID; what file system calls say
 */
export async function installService(request: InstallServiceRequest, manager: ServiceManager): Promise<ServiceReport> {
  const { root, dryRun } = request;
  const notes = await prefixNotes(request);
  const installed = await InstalledFiles.read(root);
  const steps: ServiceStep[] = [];
  const configuration = await wantedConfiguration(installed, request.settings);
  const planned = await plannedUnits(installed, request, configuration.storagePath);
  if (configuration.content !== undefined) {
    planned.push({ path: CONFIGURATION_PATH, content: configuration.content, ours: configuration.isNew });
  }
  for (const { path, content, ours } of planned) {
    if ((await installed.content(path)) === content) {
      if (ours) installed.adopt(path, content);
      steps.push({ action: 'keep', path });
      continue;
    }
    if (!dryRun) await installed.write(path, content, ours);
    steps.push({ action: 'write', path });
  }
  if (configuration.content === undefined) steps.push({ action: 'keep', path: CONFIGURATION_PATH });
  const { mountPoint } = configuration;
  if (installed.isMissing(mountPoint)) steps.push({ action: 'make directory', path: mountPoint });
  if (!dryRun) {
    // Open to others, whatever the daemon's umask: it is the mounts that decide who may use them.
    await installed.makeDirectory(mountPoint);
    await installed.save();
  }
  if (configuration.storagePath !== SYSTEM_DIRECTORIES.storagePath) {
    notes.push(`Other commands find the daemon with: export GALLEONFS_CONFIG=${CONFIGURATION_PATH}`);
  }
  await tellManager(request, manager, steps, notes);
  return { dryRun, steps, notes };
}

interface PlannedFile {
  readonly path: string;
  readonly content: string;
  readonly ours: boolean;
}

async function plannedUnits(
  installed: InstalledFiles,
  { prefix, force }: InstallServiceRequest,
  storagePath: string,
): Promise<PlannedFile[]> {
  const planned: PlannedFile[] = [];
  for (const name of UNIT_NAMES) {
    const path = join(UNIT_DIRECTORY, name);
    const content = renderUnit(await readUnit(name), { prefix, configurationFile: CONFIGURATION_PATH, storagePath });
    const present = await installed.content(path);
    if (present !== undefined && present !== content && !force && !(await installed.isUnchanged(path))) {
      throw new GalleonError(
        'SERVICE_FILE_CHANGED',
        `${path} was not written by "galleonfs install-service", or was changed since: put changes into a drop-in (systemctl edit ${name}), then overwrite it with --force`,
      );
    }
    planned.push({ path, content, ours: true });
  }
  return planned;
}

interface WantedConfiguration {
  readonly storagePath: string;
  readonly mountPoint: string;
  /** Nothing when the file stays as it is. */
  readonly content: string | undefined;
  readonly isNew: boolean;
}

/** The file that is there, with what was asked for put into it; or a new one. */
async function wantedConfiguration(
  installed: InstalledFiles,
  settings: Readonly<Record<string, unknown>>,
): Promise<WantedConfiguration> {
  const text = await installed.content(CONFIGURATION_PATH);
  const present = text === undefined ? undefined : parseConfigurationFile(CONFIGURATION_PATH, text);
  const wanted = { ...(present ?? { ...SYSTEM_DIRECTORIES, setupDefaults: true }), ...settings };
  const { storagePath, mountPoint } = loadConfiguration({ content: { ...SYSTEM_DIRECTORIES, ...wanted } });
  const isKept = present !== undefined && Object.keys(settings).length === 0;
  const isNew = present === undefined || (await installed.isUnchanged(CONFIGURATION_PATH));
  return {
    storagePath,
    mountPoint,
    content: isKept ? undefined : `${JSON.stringify(wanted, undefined, 2)}\n`,
    isNew,
  };
}

/** The units run what lies there as root. @throws Error without a GalleonFS there */
async function prefixNotes({ root, prefix }: InstallServiceRequest): Promise<string[]> {
  if (root !== '') return [];
  const { uid, mode } = await stat(join(prefix, 'bin/galleonfs'));
  const { uid: directoryUid } = await stat(prefix);
  if (uid === 0 && directoryUid === 0 && (mode & 0o022) === 0) return [];
  return [
    `Warning: ${prefix} is not root's alone. Whoever can write there can act as root: move it, or change its owner.`,
  ];
}

async function tellManager(
  { root, now, dryRun }: InstallServiceRequest,
  manager: ServiceManager,
  steps: ServiceStep[],
  notes: string[],
): Promise<void> {
  const enable = now ? ['enable', '--now', 'galleonfs.service'] : ['enable', 'galleonfs.service'];
  if (root !== '') {
    notes.push(`Nothing was enabled below ${root}; on that system: systemctl enable --now galleonfs`);
    return;
  }
  if (!manager.isRunning) {
    notes.push(
      'systemd does not run here, so nothing was enabled or started. Where it does: systemctl enable --now galleonfs',
    );
    return;
  }
  for (const command of [['daemon-reload'], enable]) {
    if (!dryRun) await manager.systemctl(...command);
    steps.push({ action: 'run', command: `systemctl ${command.join(' ')}` });
  }
  if (now) return;
  notes.push(
    'Start it: systemctl start galleonfs. If it runs already: systemctl restart galleonfs (I/O on the mounts pauses)',
  );
}
