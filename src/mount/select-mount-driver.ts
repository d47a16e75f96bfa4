import type { MountDriver, MountDriverName } from './mount-driver.ts';
import { nativeDriver } from './native-driver.ts';
import { portableDriver } from './portable-driver.ts';

const DRIVERS: Readonly<Record<MountDriverName, MountDriver>> = { native: nativeDriver, portable: portableDriver };

export function selectMountDriver(name: MountDriverName): MountDriver {
  return DRIVERS[name];
}
