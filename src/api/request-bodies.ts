import type { MountPreferences } from '../catalog/index.ts';

/** The request bodies of the control API: a type and its JSON schema side by side. Unknown members are refused. */
export interface MountBody {
  /** Absolute. */
  readonly path?: string;
  readonly options?: Partial<MountPreferences>;
}

export interface CreateVolumeBody {
  readonly name: string;
  readonly sizeBytes: number;
  readonly blockSizeBytes?: number;
  readonly storageClass?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Null: not mounted. */
  readonly mount?: MountBody | null;
}

export interface UnmountBody {
  /** A volume's name or the absolute path it is mounted at. */
  readonly target: string;
  readonly lazy?: boolean;
}

export interface ScrubBody {
  /** Absent: all that are open. */
  readonly volume?: string;
  readonly rateBytesPerSecond?: number;
}

export interface DeleteQuery {
  readonly force?: 'true' | 'false';
}

const PATH_SCHEMA = { type: 'string', minLength: 1, maxLength: 4095, pattern: '^/' } as const;
const ID_SCHEMA = { type: 'integer', minimum: 0, maximum: 0xffff_fffe } as const;

const MOUNT_PROPERTIES = {
  path: PATH_SCHEMA,
  options: {
    type: 'object',
    additionalProperties: false,
    properties: {
      readOnly: { type: 'boolean' },
      sync: { type: 'boolean' },
      allowOther: { type: 'boolean' },
      uid: ID_SCHEMA,
      gid: ID_SCHEMA,
      mode: { type: 'integer', minimum: 0, maximum: 0o777 },
      truncate: { enum: ['discard', 'ignore', 'refuse'] },
    },
  },
} as const;

export const MOUNT_SCHEMA = { type: 'object', additionalProperties: false, properties: MOUNT_PROPERTIES } as const;

/** Names and sizes are checked where volumes are made, which says more than a schema could. */
export const CREATE_VOLUME_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'sizeBytes'],
  properties: {
    name: { type: 'string' },
    sizeBytes: { type: 'number' },
    blockSizeBytes: { type: 'number' },
    storageClass: { type: 'string' },
    labels: { type: 'object', additionalProperties: { type: 'string' } },
    mount: { type: ['object', 'null'], additionalProperties: false, properties: MOUNT_PROPERTIES },
  },
} as const;

export const UNMOUNT_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['target'],
  properties: { target: { type: 'string', minLength: 1 }, lazy: { type: 'boolean' } },
} as const;

export const SCRUB_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: { volume: { type: 'string', minLength: 1 }, rateBytesPerSecond: { type: 'number', minimum: 65536 } },
} as const;

export const DELETE_QUERY_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: { force: { enum: ['true', 'false'] } },
} as const;
