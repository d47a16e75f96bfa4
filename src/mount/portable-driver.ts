/**
 * The mount driver that goes through libfuse 2 and `fuse-native`: one JavaScript callback an operation, so slower than
 * the native driver, but the one that works where /dev/fuse does not speak Linux's protocol (macOS).
 *
 * Every open uses direct I/O: a truncate discards without changing the size, which the kernel's page cache would not
 * notice. What libfuse 2 and fuse-native cannot pass on: fallocate (EOPNOTSUPP), SEEK_HOLE/SEEK_DATA (the whole file is
 * data), MAP_SHARED mappings (ENODEV), RWF_DSYNC on a single write (O_DSYNC and O_SYNC at open are honoured), requests
 * above 128 KiB (the kernel splits them).
 */
import { constants as fs } from 'node:fs';
import { constants as os } from 'node:os';
import { promisify } from 'node:util';
import { GalleonError, toErrno } from '../errors/index.ts';
import type { VolumeStore } from '../storage/index.ts';
import {
  type FuseNative,
  type FuseNativeOperations,
  type FuseNativeStat,
  type FuseNativeStatfs,
  loadFuseNative,
} from './fuse-native.ts';
import type { MountDriver, MountHandle, MountOptions, MountStats, SmallFile } from './mount-driver.ts';

const { EBADF, EINVAL, ENOENT, ENOSPC, ENOTCONN, EPERM, EROFS } = os.errno;
const ACCESS_MODE_MASK = fs.O_RDONLY | fs.O_WRONLY | fs.O_RDWR;
const DATA = '/data';
const STATFS_BLOCK_BYTES = 65_536; // counts go to the kernel as 32 bits, and 64 TiB must fit

interface OpenFile {
  /** Undefined: `data`; else what the small file held when it was opened. */
  readonly content: Uint8Array | undefined;
  /** Opened with O_DSYNC or O_SYNC. */
  readonly durable: boolean;
}

type Done<T> = (negativeErrno: number, value?: T) => void;

/** Ends a request with an errno; expected, never logged. */
class Refusal extends Error {
  readonly errno: number;
  constructor(errno: number) {
    super();
    this.errno = errno;
  }
}

export const portableDriver: MountDriver = {
  name: 'portable',
  async mount(volume, options) {
    const mount = new PortableMount(volume, options);
    await mount.start();
    return mount;
  },
};

/** Invariant: a request is counted in `#inFlight` from its callback until its reply, and uses the volume only then. */
class PortableMount implements MountHandle {
  readonly driver = 'portable';
  readonly mountPoint: string;
  readonly #volume: VolumeStore;
  readonly #options: MountOptions;
  readonly #mountedAt = new Date();
  readonly #openFiles = new Map<number, OpenFile>();
  readonly #inFlight = new Set<Promise<void>>();
  #files: ReadonlyMap<string, Uint8Array>;
  #fuse: FuseNative | undefined;
  #nextHandle = 1;
  #requests = 0;
  #errors = 0;
  #closing = false;

  constructor(volume: VolumeStore, options: MountOptions) {
    this.mountPoint = options.mountPoint;
    this.#volume = volume;
    this.#options = options;
    this.#files = byName(options.files);
  }

  async start(): Promise<void> {
    const { allowOther, mountPoint, source } = this.#options;
    if (/[$`\n]/.test(mountPoint)) {
      // fuse-native unmounts through a shell with the path in double quotes.
      throw new GalleonError(
        'MOUNT_FAILED',
        `the portable driver cannot mount on ${mountPoint}: it holds $, \` or a line end`,
      );
    }
    // fuse-native knows no names for these libfuse options; it joins all options with commas. Without big_writes the
    // kernel sends 4 KiB a request where it caches.
    const fsname = [source, 'direct_io', 'big_writes', ...(this.#readOnly() ? ['ro'] : [])].join(',');
    try {
      const Fuse = loadFuseNative();
      const options = { timeout: false, allowOther, defaultPermissions: true, fsname, subtype: 'galleonfs' } as const;
      this.#fuse = new Fuse(mountPoint, this.#operations(), options);
      await promisify(this.#fuse.mount.bind(this.#fuse))();
    } catch (cause) {
      throw new GalleonError('MOUNT_FAILED', `cannot mount ${mountPoint} with the portable driver`, { cause });
    }
  }

  async unmount({ lazy }: { readonly lazy: boolean }): Promise<void> {
    if (this.#fuse === undefined) return;
    if (!lazy && this.#openFiles.size > 0) {
      throw new GalleonError(
        'MOUNT_BUSY',
        `${this.mountPoint} has ${this.#openFiles.size} open files; close them, or unmount lazily`,
      );
    }
    this.#closing = true;
    const fuse = this.#fuse;
    this.#fuse = undefined;
    await promisify(fuse.unmount.bind(fuse))(); // always lazy; what is still open meets ENOTCONN from here on
    await Promise.allSettled(this.#inFlight);
  }

  stats(): MountStats {
    return { requests: this.#requests, errors: this.#errors, openFiles: this.#openFiles.size };
  }

  setFiles(files: readonly SmallFile[]): void {
    this.#files = byName(files);
  }

  #operations(): FuseNativeOperations {
    const refuse = (...request: unknown[]): void => {
      this.#serve(
        () => {
          throw new Refusal(EPERM);
        },
        request.at(-1) as Done<void>,
      );
    };
    return {
      getattr: (path, done) => this.#serve(() => this.#attributes(path), done),
      readdir: (_path, done) => this.#serve(() => ['.', '..', 'data', ...this.#files.keys()], done),
      statfs: (_path, done) => this.#serve(() => this.#space(), done),
      open: (path, flags, done) => this.#serve(() => this.#open(path, flags), done),
      read: (_path, handle, into, length, offset, done) =>
        this.#serve(() => this.#read(handle, into.subarray(0, length), offset), byteCount(done)),
      write: (_path, handle, from, length, offset, done) =>
        this.#serve(() => this.#write(handle, from.subarray(0, length), offset), byteCount(done)),
      truncate: (path, size, done) => this.#serve(() => this.#truncate(path, size), done),
      ftruncate: (path, _handle, size, done) => this.#serve(() => this.#truncate(path, size), done),
      fsync: (path, _dataOnly, _handle, done) =>
        this.#serve(() => (path === DATA ? this.#volume.flush() : undefined), done),
      release: (_path, handle, done) => this.#serve(() => void this.#openFiles.delete(handle), done),
      utimens: (_path, _accessed, _modified, done) => this.#serve(() => undefined, done),
      chmod: refuse,
      chown: refuse,
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

  /** Runs one request to its reply. */
  #serve<T>(work: () => T | Promise<T>, done: Done<T>): void {
    this.#requests += 1;
    const request = this.#answer(work, done).finally(() => this.#inFlight.delete(request));
    this.#inFlight.add(request);
  }

  async #answer<T>(work: () => T | Promise<T>, done: Done<T>): Promise<void> {
    try {
      if (this.#closing) throw new Refusal(ENOTCONN);
      done(0, await work());
    } catch (error) {
      const errno = error instanceof Refusal ? error.errno : toErrno(error);
      if (errno !== ENOENT) this.#errors += 1;
      done(-errno);
    }
  }

  #attributes(path: string): FuseNativeStat {
    const { uid, gid, dataMode, directoryMode } = this.#options;
    const at = this.#mountedAt;
    const common = {
      uid,
      gid,
      nlink: 1,
      blocks: 0,
      blksize: this.#volume.blockSizeBytes,
      atime: at,
      mtime: at,
      ctime: at,
    };
    if (path === '/') return { ...common, ino: 1, nlink: 2, mode: fs.S_IFDIR | directoryMode, size: 0 };
    if (path === DATA) {
      const blocks = Math.ceil(this.#volume.allocatedBytes() / 512);
      return { ...common, ino: 2, mode: fs.S_IFREG | dataMode, size: this.#volume.sizeBytes, blocks };
    }
    return { ...common, ino: 3, mode: fs.S_IFREG | 0o444, size: this.#small(path).length };
  }

  #space(): FuseNativeStatfs {
    const blocksOf = (bytes: number): number => Math.ceil(bytes / STATFS_BLOCK_BYTES);
    const blocks = blocksOf(this.#volume.sizeBytes);
    const free = blocks - blocksOf(this.#volume.allocatedBytes());
    const size = STATFS_BLOCK_BYTES;
    return { bsize: size, frsize: size, blocks, bfree: free, bavail: free, files: 2 + this.#files.size, namemax: 255 };
  }

  #open(path: string, flags: number): number {
    const writable = (flags & ACCESS_MODE_MASK) !== fs.O_RDONLY;
    if (writable && this.#readOnly()) throw new Refusal(EROFS);
    if (writable && path !== DATA) throw new Refusal(EPERM);
    const content = path === DATA ? undefined : this.#small(path);
    const handle = this.#nextHandle;
    this.#nextHandle = (handle % 0xffff_ffff) + 1;
    this.#openFiles.set(handle, { content, durable: (flags & (fs.O_DSYNC | fs.O_SYNC)) !== 0 });
    return handle;
  }

  async #read(handle: number, into: Uint8Array, offset: number): Promise<number> {
    const { content } = this.#opened(handle);
    if (content !== undefined) {
      const part = content.subarray(offset, offset + into.length);
      into.set(part);
      return part.length;
    }
    const length = Math.min(into.length, Math.max(0, this.#volume.sizeBytes - offset));
    if (length > 0) await this.#volume.read(offset, into.subarray(0, length));
    return length;
  }

  /** As on a block device: short at the end, ENOSPC beyond it. */
  async #write(handle: number, from: Uint8Array, offset: number): Promise<number> {
    const { durable } = this.#opened(handle);
    const length = Math.min(from.length, this.#volume.sizeBytes - offset);
    if (length <= 0 && from.length > 0) throw new Refusal(ENOSPC);
    await this.#volume.write(offset, from.subarray(0, length), { durable: durable || this.#options.sync });
    return length;
  }

  async #truncate(path: string, size: number): Promise<void> {
    const { sizeBytes } = this.#volume;
    if (path !== DATA) throw new Refusal(EPERM);
    if (this.#readOnly()) throw new Refusal(EROFS);
    if (size > sizeBytes) throw new Refusal(EINVAL);
    if (size === sizeBytes || this.#options.truncate === 'ignore') return;
    if (this.#options.truncate === 'refuse') throw new Refusal(EPERM);
    await this.#volume.discard(size, sizeBytes - size);
  }

  #readOnly(): boolean {
    return this.#options.readOnly || this.#volume.readOnly;
  }

  #opened(handle: number): OpenFile {
    const file = this.#openFiles.get(handle);
    if (file === undefined) throw new Refusal(EBADF);
    return file;
  }

  #small(path: string): Uint8Array {
    const content = this.#files.get(path.slice(1));
    if (content === undefined) throw new Refusal(ENOENT);
    return content;
  }
}

/** fuse-native takes the byte count of a read or write where other operations report an error. */
function byteCount(done: (result: number) => void): Done<number> {
  return (errno, count = 0) => done(errno === 0 ? count : errno);
}

function byName(files: readonly SmallFile[]): ReadonlyMap<string, Uint8Array> {
  return new Map(files.map(({ name, content }) => [name, content]));
}
