import { homedir } from 'node:os';
import { relative } from 'node:path';
import { GalleonError } from '../errors/index.ts';
import { readConfigurationFile } from './configuration-file.ts';
import { defaultDirectories } from './default-directories.ts';
import { SETTINGS, type Configuration } from './settings.ts';

type SettingName = keyof Configuration;

export const CONFIG_FILE_VARIABLE = 'GALLEONFS_CONFIG';
/** Set by bin/galleonfs: how it was called. */
export const LAUNCHER_VARIABLE = 'GALLEONFS_LAUNCHER';

export interface ConfigurationSources {
  /** Values of the flags that were given, by the name of the setting. */
  readonly flags?: Readonly<Partial<Record<SettingName, unknown>>>;
  /** The value of `--config`. */
  readonly file?: string | undefined;
  /** What such a file holds, instead of `file`. */
  readonly content?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * Puts the configuration together: a flag wins over its environment variable, that over the file, that over the default.
 * @throws GalleonError CONFIG_INVALID naming the setting, where its value came from, and what is wrong with it.
 */
export function loadConfiguration(sources: ConfigurationSources): Configuration {
  const environment = sources.environment ?? {};
  const flags = sources.flags ?? {};
  const file = sources.file ?? nonEmpty(environment[CONFIG_FILE_VARIABLE]);
  const content = sources.content ?? (file === undefined ? {} : readConfigurationFile(file));
  const fallback = defaults(environment);

  function value<Name extends SettingName>(name: Name): Configuration[Name] {
    const { key, flag, variable, parse } = SETTINGS[name];
    const candidates: [unknown, string][] = [
      [flags[name], flag.split(' ')[0] ?? flag],
      [nonEmpty(environment[variable]), variable],
      [content[key], `"${key}" in ${file ?? 'the settings'}`],
    ];
    const found = candidates.find(([candidate]) => candidate !== undefined);
    if (found === undefined) return fallback[name];
    try {
      return parse(found[0]);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new GalleonError('CONFIG_INVALID', `${found[1]}: ${error.message}`, { cause: error });
    }
  }

  const configuration: Configuration = {
    storagePath: value('storagePath'),
    mountPoint: value('mountPoint'),
    bindAddress: Object.freeze(value('bindAddress')),
    fuseDriver: value('fuseDriver'),
    cacheSizeBytes: value('cacheSizeBytes'),
    inFlight: value('inFlight'),
    scrubIntervalMs: value('scrubIntervalMs'),
    logLevel: value('logLevel'),
    demoMode: value('demoMode'),
    setupDefaults: value('setupDefaults'),
    allowOther: value('allowOther'),
    noSupervisor: value('noSupervisor'),
  };
  refuseNesting(configuration);
  return Object.freeze(configuration);
}

/** Names of GALLEONFS_ variables that no setting has: probably misspelt, worth a warning. */
export function unknownVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set([
    CONFIG_FILE_VARIABLE,
    LAUNCHER_VARIABLE,
    ...Object.values(SETTINGS).map(({ variable }) => variable),
  ]);
  return Object.keys(environment).filter((name) => name.startsWith('GALLEONFS_') && !known.has(name));
}

function defaults(environment: Readonly<Record<string, string | undefined>>): Configuration {
  return {
    ...defaultDirectories(process.getuid?.() ?? -1, environment['HOME'] ?? homedir(), environment),
    bindAddress: { host: '127.0.0.1', port: 8080 },
    fuseDriver: process.platform === 'linux' ? 'native' : 'portable',
    cacheSizeBytes: SETTINGS.cacheSizeBytes.parse('64MiB'),
    inFlight: 'auto',
    scrubIntervalMs: SETTINGS.scrubIntervalMs.parse('7d'),
    logLevel: 'info',
    demoMode: false,
    setupDefaults: false,
    allowOther: false,
    noSupervisor: false,
  };
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}

/** A store below its own mounts could not be reached to serve them. */
function refuseNesting({ storagePath, mountPoint }: Configuration): void {
  if (isWithin(storagePath, mountPoint) || isWithin(mountPoint, storagePath)) {
    throw new GalleonError(
      'CONFIG_INVALID',
      `the storage path ${storagePath} and the mount point ${mountPoint} must not lie within each other`,
    );
  }
}

function isWithin(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || !(way === '..' || way.startsWith('../'));
}
