import { isAbsolute, resolve } from 'node:path';
import { parseByteSize, parseDuration, type ByteCount } from '../lib/index.ts';
import { parseBindAddress, type BindAddress } from './bind-address.ts';

export const FUSE_DRIVERS = ['native', 'portable'] as const;
export type FuseDriver = (typeof FUSE_DRIVERS)[number];

/** `auto`: the kernel resends the requests a dead daemon left, where it can (Linux 6.9); else, and with `slots`, we keep them. */
export const IN_FLIGHT_WAYS = ['auto', 'slots'] as const;
export type InFlightWay = (typeof IN_FLIGHT_WAYS)[number];

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the daemon runs with: checked once, frozen, and handed to whoever needs it. */
export interface Configuration {
  /** Absolute. */
  readonly storagePath: string;
  /** Absolute. */
  readonly mountPoint: string;
  readonly bindAddress: BindAddress;
  readonly fuseDriver: FuseDriver;
  readonly cacheSizeBytes: ByteCount;
  readonly inFlight: InFlightWay;
  /** From one scrub of a volume to the next; null: only when asked. */
  readonly scrubIntervalMs: number | null;
  readonly logLevel: LogLevel;
  readonly demoMode: boolean;
  readonly setupDefaults: boolean;
  readonly allowOther: boolean;
  readonly noSupervisor: boolean;
}

/** One setting in its three spellings; `parse` takes the text of a flag or variable, or the value from the file. */
export interface Setting<Value> {
  /** The key in the configuration file. */
  readonly key: string;
  /** As commander wants it: with `<value>` unless it is a switch. */
  readonly flag: string;
  readonly variable: string;
  readonly description: string;
  /** @throws RangeError with a sentence for the user. */
  readonly parse: (value: unknown) => Value;
}

type Settings = { readonly [Name in keyof Configuration]: Setting<Configuration[Name]> };

const CACHE_BYTES_MIN = 1024 ** 2;

/** The one table from which flags, variables, file keys and help are made. */
export const SETTINGS: Settings = {
  storagePath: setting('storagePath', 'storage-path <dir>', 'where volumes and metadata are kept', directory),
  mountPoint: setting('mountPoint', 'mount-point <dir>', 'volumes appear at <dir>/<name>', directory),
  bindAddress: setting('bindAddress', 'bind-address <host:port>', 'where /healthz and /metrics are served', (value) =>
    parseBindAddress(text(value)),
  ),
  fuseDriver: setting('fuseDriver', 'fuse-driver <driver>', 'native (fast, Linux) or portable (fuse-native)', (value) =>
    oneOf(FUSE_DRIVERS, value),
  ),
  cacheSizeBytes: setting(
    'cacheSize',
    'cache-size <size>',
    'memory for cached metadata pages of all volumes',
    cacheSize,
  ),
  inFlight: setting(
    'inFlight',
    'in-flight <way>',
    'how requests survive the daemon: auto (the kernel resends them, from Linux 6.9 on) or slots (we keep them)',
    (value) => oneOf(IN_FLIGHT_WAYS, value),
  ),
  scrubIntervalMs: setting(
    'scrubInterval',
    'scrub-interval <time>',
    'how often every volume is verified against its medium, such as 7d, 12h; or off',
    interval,
  ),
  logLevel: setting('logLevel', 'log-level <level>', LOG_LEVELS.join(', '), (value) => oneOf(LOG_LEVELS, value)),
  demoMode: setting('demoMode', 'demo-mode', 'make three volumes, use them, show what happens, keep running', truth),
  setupDefaults: setting('setupDefaults', 'setup-defaults', 'make the default storage classes', truth),
  allowOther: setting('allowOther', 'allow-other', 'let other users reach mounted volumes (file modes apply)', truth),
  noSupervisor: setting('noSupervisor', 'no-supervisor', 'run alone: the mounts end when the daemon dies', truth),
};

function setting<Value>(
  key: string,
  flag: string,
  description: string,
  parse: (value: unknown) => Value,
): Setting<Value> {
  const variable = `GALLEONFS_${(flag.split(' ')[0] ?? flag).toUpperCase().replaceAll('-', '_')}`;
  return { key, flag: `--${flag}`, variable, description, parse };
}

function text(value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '') throw new RangeError('a text is needed');
  return value;
}

function directory(value: unknown): string {
  const path = text(value);
  if (path.includes('\0')) throw new RangeError('a path cannot contain a NUL character');
  return isAbsolute(path) ? resolve(path) : resolve(process.cwd(), path);
}

function truth(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' ? value.toLowerCase() : '';
  if (['true', '1', 'yes', 'on'].includes(word)) return true;
  if (['false', '0', 'no', 'off'].includes(word)) return false;
  throw new RangeError(`${JSON.stringify(value)} is neither true nor false`);
}

function oneOf<Word extends string>(words: readonly Word[], value: unknown): Word {
  const word = words.find((candidate) => candidate === value);
  if (word === undefined) throw new RangeError(`${JSON.stringify(value)} is not one of ${words.join(', ')}`);
  return word;
}

function interval(value: unknown): number | null {
  return value === false || value === 'off' ? null : parseDuration(text(value));
}

function cacheSize(value: unknown): ByteCount {
  const bytes = parseByteSize(typeof value === 'number' ? String(value) : text(value));
  if (bytes < CACHE_BYTES_MIN) throw new RangeError(`"${String(value)}" is below the least cache, 1MiB`);
  return bytes;
}
