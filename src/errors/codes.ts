/** What sort of trouble a code stands for; the maps to errno, HTTP and exit codes go by it. */
export type ErrorKind =
  | 'invalid_argument'
  | 'not_found'
  | 'already_exists'
  | 'conflict'
  | 'busy'
  | 'corrupt'
  | 'no_space'
  | 'permission'
  | 'read_only'
  | 'unavailable'
  | 'unsupported'
  | 'cancelled'
  | 'io'
  | 'internal';

/**
 * Every code there is, with its kind. Codes are part of the interface: never renamed, never reused for something else.
 * The STORE_ and FUSE_ codes are raised by the native half.
 */
export const errorCodes = {
  // The volume store.
  STORE_EXISTS: 'already_exists',
  STORE_NOT_FOUND: 'not_found',
  STORE_INVALID_SIZE: 'invalid_argument',
  STORE_INVALID_BLOCK_SIZE: 'invalid_argument',
  STORE_INVALID_RANGE: 'invalid_argument',
  STORE_SUPERBLOCK_DAMAGED: 'corrupt',
  STORE_FORMAT_NEWER: 'unsupported',
  STORE_DAMAGED: 'corrupt',
  STORE_LOCKED: 'busy',
  STORE_IO: 'io',
  STORE_NO_SPACE: 'no_space',
  STORE_READ_ONLY: 'read_only',
  STORE_CLOSED: 'unavailable',
  STORE_MOUNTED: 'busy',
  STORE_CHECK_FAILED: 'corrupt',

  // The native mount.
  FUSE_DEVICE_MISSING: 'unavailable',
  FUSE_NOT_PERMITTED: 'permission',
  FUSE_FUSERMOUNT_MISSING: 'unavailable',
  FUSE_MOUNT_POINT: 'invalid_argument',
  FUSE_ALREADY_MOUNTED: 'busy',
  FUSE_MOUNT_FAILED: 'io',
  FUSE_BUSY: 'busy',
  FUSE_UNMOUNT_FAILED: 'io',
  FUSE_RESOURCES: 'unavailable',
  FUSE_STOPPED: 'unavailable',

  // Volumes and their catalog.
  VOLUME_NOT_FOUND: 'not_found',
  VOLUME_EXISTS: 'already_exists',
  VOLUME_NAME_INVALID: 'invalid_argument',
  VOLUME_SIZE_INVALID: 'invalid_argument',
  VOLUME_SIZE_UNALIGNED: 'invalid_argument',
  VOLUME_BLOCK_SIZE_INVALID: 'invalid_argument',
  VOLUME_LABEL_INVALID: 'invalid_argument',
  STORAGE_CLASS_NOT_FOUND: 'not_found',
  STORAGE_CLASS_UNSUPPORTED: 'unsupported',
  VOLUME_STATE_CONFLICT: 'conflict',
  VOLUME_MOUNTED: 'busy',
  VOLUME_NOT_MOUNTED: 'conflict',
  CATALOG_DAMAGED: 'corrupt',
  CATALOG_TOO_NEW: 'unsupported',
  CATALOG_UNAVAILABLE: 'unavailable',

  // Long work.
  JOB_NOT_FOUND: 'not_found',
  JOB_RUNNING: 'conflict',
  JOB_ENDED: 'conflict',

  // Where volumes are kept and shown.
  STORAGE_PATH_LOCKED: 'busy',
  STORAGE_PATH_INVALID: 'invalid_argument',
  STORAGE_PATH_PERMISSION: 'permission',
  MOUNT_POINT_NOT_DIRECTORY: 'invalid_argument',
  MOUNT_POINT_NOT_EMPTY: 'conflict',
  MOUNT_POINT_BUSY: 'busy',
  MOUNT_POINT_PERMISSION: 'permission',
  MOUNT_FAILED: 'io',
  MOUNT_BUSY: 'busy',
  MOUNT_DRIVER_UNAVAILABLE: 'unavailable',

  // The daemon and those who talk to it.
  CONFIG_INVALID: 'invalid_argument',
  ADDRESS_IN_USE: 'busy',
  DAEMON_UNREACHABLE: 'unavailable',
  DAEMON_STOPPING: 'unavailable',
  RESTART_UNSUPPORTED: 'unsupported',
  DEMO_FAILED: 'io',
  REQUEST_INVALID: 'invalid_argument',
  ROUTE_NOT_FOUND: 'not_found',
  USAGE_INVALID: 'invalid_argument',
  OPERATION_CANCELLED: 'cancelled',
  OPERATION_NOT_PERMITTED: 'permission',
  OPERATION_TIMED_OUT: 'unavailable',
  OPERATION_UNSUPPORTED: 'unsupported',
  ADDON_UNAVAILABLE: 'unavailable',
  SUPERVISOR_UNAVAILABLE: 'unavailable',
  SERVICE_PATH_UNSUITABLE: 'invalid_argument',
  SERVICE_FILE_CHANGED: 'conflict',
  SERVICE_RECORD_DAMAGED: 'corrupt',
  SERVICE_MANAGER_FAILED: 'unavailable',
  SYSTEM_ERROR: 'io',
  SYSTEM_NO_SPACE: 'no_space',
  SYSTEM_PERMISSION: 'permission',
  INTERNAL: 'internal',
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCodes;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value);
}

/** Codes for which trying the same again later can succeed without anybody changing the request. */
export const retryableCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'STORE_LOCKED',
  'STORE_MOUNTED',
  'STORE_NO_SPACE',
  'FUSE_BUSY',
  'VOLUME_MOUNTED',
  'CATALOG_UNAVAILABLE',
  'STORAGE_PATH_LOCKED',
  'MOUNT_BUSY',
  'MOUNT_POINT_BUSY',
  'ADDRESS_IN_USE',
  'DAEMON_UNREACHABLE',
  'DAEMON_STOPPING',
]);
