import type { VolumeName } from './volume-name.ts';
import type { MountPreferences } from './volume-record.ts';

/**
 * A mount as it stands in the kernel, for the daemon that goes on with it after this one crashed or handed over.
 *
 * Written before the kernel is asked to mount, so that no mount is ever unknown; `resumption` follows when it stands.
 */
export interface MountRecord {
  readonly volume: VolumeName;
  /** Names the mount's descriptors in the descriptor store: 16 hexadecimal digits. */
  readonly key: string;
  /** Absolute, without symbolic links: as the mount table shows it. */
  readonly mountPoint: string;
  /** The directory was made for the mount. */
  readonly createdMountPoint: boolean;
  readonly preferences: MountPreferences;
  /** ISO 8601, UTC. */
  readonly since: string;
  /** What a driver needs to go on with it, beside the descriptors. Absent: it ends with the daemon, or is not yet mounted. */
  readonly resumption?: MountResumption;
}

export interface MountResumption {
  /** `major:minor` in the mount table. */
  readonly deviceId: string;
  /** What the kernel and the driver agreed on, opaque. */
  readonly negotiated: string;
}
