/**
 * The mount driver that goes through libfuse 2 and `fuse-native`: one JavaScript callback an operation, so slower than
 * the native driver, but the one that works where /dev/fuse does not speak Linux's protocol (macOS).
 *
 * Every open uses direct I/O: a truncate discards without changing the size, which the kernel's page cache would not
 * notice. What libfuse 2 and fuse-native cannot pass on: fallocate (EOPNOTSUPP), SEEK_HOLE/SEEK_DATA (the whole file is
 * data), MAP_SHARED mappings (ENODEV), RWF_DSYNC on a single write (O_DSYNC and O_SYNC at open are honoured), requests
 * above 128 KiB (the kernel splits them).
 */
import { constants } from 'node:os';
import { promisify } from 'node:util';
import { GalleonError, toErrno } from '../errors/index.ts';
import type { VolumeStore } from '../storage/index.ts';
import { type FuseNative, type FuseNativeOperations, loadFuseNative } from './fuse-native.ts';
import type { MountDriver, MountHandle, MountOptions, MountStats, SmallFile } from './mount-driver.ts';
import { mountedAt, readMountTable } from './mount-table.ts';
import { PortableDirectory, Refusal } from './portable-directory.ts';

const { ENOENT, ENOTCONN } = constants.errno;

type Done<T> = (negativeErrno: number, value?: T) => void;

export const portableDriver: MountDriver = {
  name: 'portable',
  async mount(volume, options) {
    const mount = new PortableMount(volume, options);
    await mount.start();
    return mount;
  },
};

/** Invariant: a request is in `#inFlight` from its callback until its reply, and touches the volume only in between. */
class PortableMount implements MountHandle {
  readonly driver = 'portable';
  readonly inFlightSurvival = 'none';
  readonly mountPoint: string;
  readonly #options: MountOptions;
  readonly #directory: PortableDirectory;
  readonly #inFlight = new Set<Promise<void>>();
  #fuse: FuseNative | undefined;
  #ended = false;
  #requests = 0;
  #errors = 0;

  constructor(volume: VolumeStore, options: MountOptions) {
    this.mountPoint = options.mountPoint;
    this.#options = options;
    this.#directory = new PortableDirectory(volume, options);
  }

  async start(): Promise<void> {
    const { allowOther, mountPoint, source } = this.#options;
    if (/[$`\n]/.test(mountPoint)) {
      // fuse-native unmounts through a shell, with the path in double quotes.
      throw new GalleonError(
        'MOUNT_FAILED',
        `the portable driver cannot mount on "${mountPoint}": $, \` or a line end`,
      );
    }
    const Fuse = loaded();
    // fuse-native has no names for these options of libfuse; it joins all with commas. Without big_writes the kernel
    // would send 4 KiB a request.
    const fsname = [source, 'direct_io', 'big_writes', ...(this.#directory.readOnly ? ['ro'] : [])].join(',');
    const options = { timeout: false, allowOther, defaultPermissions: true, fsname, subtype: 'galleonfs' } as const;
    const fuse = new Fuse(mountPoint, this.#operations(), options);
    try {
      await promisify(fuse.mount.bind(fuse))();
    } catch (cause) {
      throw new GalleonError('MOUNT_FAILED', `libfuse cannot mount ${mountPoint}; is /dev/fuse there?`, { cause });
    }
    this.#fuse = fuse;
  }

  async unmount({ lazy }: { readonly lazy: boolean }): Promise<void> {
    const { openFiles } = this.#directory;
    if (!lazy && openFiles > 0) {
      const message = `${this.mountPoint} is in use (${openFiles} open files): close them, or unmount lazily`;
      throw new GalleonError('MOUNT_BUSY', message);
    }
    if (this.#fuse !== undefined) await this.#takeFromTree(this.#fuse);
    this.#fuse = undefined;
    this.#ended = true; // what is still open meets ENOTCONN from here on
    await Promise.allSettled(this.#inFlight);
  }

  stats(): MountStats {
    return { requests: this.#requests, errors: this.#errors, openFiles: this.#directory.openFiles };
  }

  setFiles(files: readonly SmallFile[]): void {
    this.#directory.setFiles(files);
  }

  async #takeFromTree(fuse: FuseNative): Promise<void> {
    try {
      await promisify(fuse.unmount.bind(fuse))(); // always lazy
    } catch (cause) {
      if (mountedAt(await readMountTable(), this.mountPoint) === undefined) return; // somebody else has done it
      const message = `${this.mountPoint} cannot be unmounted: is fusermount in PATH?`;
      throw new GalleonError('FUSE_UNMOUNT_FAILED', message, { cause });
    }
  }

  #operations(): FuseNativeOperations {
    const directory = this.#directory;
    const refuse = (...request: unknown[]): void => {
      this.#serve(() => directory.changeEntries(), request.at(-1) as Done<void>);
    };
    return {
      getattr: (path, done) => this.#serve(() => directory.attributes(path), done),
      readdir: (_path, done) => this.#serve(() => directory.list(), done),
      statfs: (_path, done) => this.#serve(() => directory.space(), done),
      open: (path, flags, done) => this.#serve(() => directory.open(path, flags), done),
      read: (_path, handle, into, length, offset, done) =>
        this.#serve(() => directory.read(handle, into.subarray(0, length), offset), byteCount(done)),
      write: (_path, handle, from, length, offset, done) =>
        this.#serve(() => directory.write(handle, from.subarray(0, length), offset), byteCount(done)),
      truncate: (path, size, done) => this.#serve(() => directory.truncate(path, size), done),
      ftruncate: (path, _handle, size, done) => this.#serve(() => directory.truncate(path, size), done),
      fsync: (path, _dataOnly, _handle, done) => this.#serve(() => directory.flush(path), done),
      release: (_path, handle, done) => this.#serve(() => directory.release(handle), done),
      utimens: (path, accessedMs, modifiedMs, done) =>
        this.#serve(() => directory.setTimes(path, new Date(accessedMs), new Date(modifiedMs)), done),
      chmod: (path, mode, done) => this.#serve(() => directory.setMode(path, mode), done),
      chown: (path, uid, gid, done) => this.#serve(() => directory.setOwner(path, uid, gid), done),
      create: refuse,
      mknod: refuse,
      mkdir: refuse,
      unlink: refuse,
      rmdir: refuse,
      rename: refuse,
      link: refuse,
      symlink: refuse,
    };
  }

  #serve<T>(work: () => T | Promise<T>, done: Done<T>): void {
    this.#requests += 1;
    const request = this.#answer(work, done).finally(() => this.#inFlight.delete(request));
    this.#inFlight.add(request);
  }

  async #answer<T>(work: () => T | Promise<T>, done: Done<T>): Promise<void> {
    try {
      if (this.#ended) throw new Refusal(ENOTCONN);
      done(0, await work());
    } catch (error) {
      const errno = error instanceof Refusal ? error.errno : toErrno(error);
      if (errno !== ENOENT) this.#errors += 1;
      done(-errno);
    }
  }
}

function loaded(): ReturnType<typeof loadFuseNative> {
  try {
    return loadFuseNative();
  } catch (cause) {
    const message =
      'the portable driver needs the package fuse-native: npm install fuse-native, or use --fuse-driver native';
    throw new GalleonError('MOUNT_DRIVER_UNAVAILABLE', message, { cause });
  }
}

/** fuse-native takes a read's or write's byte count where other operations report their errno. */
function byteCount(done: (result: number) => void): Done<number> {
  return (errno, count = 0) => done(errno === 0 ? count : errno);
}
