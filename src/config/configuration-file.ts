import { readFileSync } from 'node:fs';
import { GalleonError } from '../errors/index.ts';
import { SETTINGS } from './settings.ts';

/**
 * Reads a JSON object whose keys are settings.
 * @throws GalleonError CONFIG_INVALID: unreadable, not JSON, not an object, or a key that is no setting.
 */
export function readConfigurationFile(path: string): Readonly<Record<string, unknown>> {
  return parseConfigurationFile(path, read(path));
}

/** @throws GalleonError CONFIG_INVALID, naming the file by `path` */
export function parseConfigurationFile(path: string, text: string): Readonly<Record<string, unknown>> {
  const content = parse(path, text);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new GalleonError('CONFIG_INVALID', `the configuration file ${path} must hold one JSON object`);
  }
  const valid = Object.values(SETTINGS).map(({ key }) => key);
  for (const key of Object.keys(content)) {
    if (!valid.includes(key)) {
      throw new GalleonError(
        'CONFIG_INVALID',
        `the configuration file ${path} has the unknown key "${key}"; the valid keys are ${valid.join(', ')}`,
      );
    }
  }
  return content as Record<string, unknown>;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GalleonError('CONFIG_INVALID', `the configuration file ${path} cannot be read: ${reason}`, {
      cause: error,
    });
  }
}

function parse(path: string, content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new GalleonError('CONFIG_INVALID', `the configuration file ${path} is not valid JSON: ${reason}`, {
      cause: error,
    });
  }
}
