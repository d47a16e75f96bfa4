/**
 * What a volume's directory answers to each file operation, for the portable driver. The native driver's answers are in
 * native/fuse and must be the same: one test suite runs on both.
 *
 * Paths are as FUSE gives them: '/', '/data', '/README.txt'.
 */
import { constants as fs } from 'node:fs';
import { constants as os } from 'node:os';
import type { VolumeStore } from '../storage/index.ts';
import type { FuseNativeStat, FuseNativeStatfs } from './fuse-native.ts';
import type { MountOptions, SmallFile } from './mount-driver.ts';

const { EACCES, EBADF, EINVAL, ENOENT, ENOSPC, EPERM, EROFS } = os.errno;
const ACCESS_MODE_MASK = fs.O_RDONLY | fs.O_WRONLY | fs.O_RDWR;
const DATA = '/data';
const STATFS_BLOCK_BYTES = 65_536; // counts go to the kernel as 32 bits, and 64 TiB must fit
const UNCHANGED = 0xffff_ffff; // chown's -1

/** Ends a request with an errno (positive); expected, never logged. */
export class Refusal extends Error {
  readonly errno: number;
  constructor(errno: number) {
    super(`refused with errno ${errno}`);
    this.errno = errno;
  }
}

interface OpenFile {
  /** Undefined: `data`; else what the small file held when it was opened. */
  readonly content: Uint8Array | undefined;
  /** Opened with O_DSYNC or O_SYNC. */
  readonly durable: boolean;
}

/** Methods throw Refusal, or what the store throws. */
export class PortableDirectory {
  readonly #volume: VolumeStore;
  readonly #options: MountOptions;
  readonly #mountedAt = new Date();
  readonly #openFiles = new Map<number, OpenFile>();
  #accessedAt = this.#mountedAt;
  #modifiedAt = this.#mountedAt;
  #files: ReadonlyMap<string, Uint8Array> = new Map();
  #nextHandle = 1;

  constructor(volume: VolumeStore, options: MountOptions) {
    this.#volume = volume;
    this.#options = options;
    this.setFiles(options.files);
  }

  get openFiles(): number {
    return this.#openFiles.size;
  }

  get readOnly(): boolean {
    return this.#options.readOnly || this.#volume.readOnly;
  }

  setFiles(files: readonly SmallFile[]): void {
    this.#files = new Map(files.map(({ name, content }) => [`/${name}`, content]));
  }

  list(): string[] {
    return ['.', '..', 'data', ...[...this.#files.keys()].map((path) => path.slice(1))];
  }

  attributes(path: string): FuseNativeStat {
    const { uid, gid, dataMode, directoryMode } = this.#options;
    const at = this.#mountedAt;
    const blksize = this.#volume.blockSizeBytes;
    const common = { uid, gid, nlink: 1, blocks: 0, blksize, atime: at, mtime: at, ctime: at };
    if (path === '/') return { ...common, ino: 1, nlink: 2, mode: fs.S_IFDIR | directoryMode, size: 0 };
    if (path !== DATA) {
      const size = this.#small(path).length;
      return { ...common, ino: 3, mode: fs.S_IFREG | (dataMode & 0o444), size, blocks: Math.ceil(size / 512) };
    }
    const times = { atime: this.#accessedAt, mtime: this.#modifiedAt, ctime: this.#modifiedAt };
    const blocks = Math.floor(this.#volume.allocatedBytes() / 512);
    return { ...common, ...times, ino: 2, mode: fs.S_IFREG | dataMode, size: this.#volume.sizeBytes, blocks };
  }

  space(): FuseNativeStatfs {
    const size = STATFS_BLOCK_BYTES;
    const blocks = Math.ceil(this.#volume.sizeBytes / size);
    const free = Math.max(0, blocks - Math.ceil(this.#volume.allocatedBytes() / size));
    return { bsize: size, frsize: size, blocks, bfree: free, bavail: free, files: 2 + this.#files.size, namemax: 255 };
  }

  open(path: string, flags: number): number {
    if ((flags & ACCESS_MODE_MASK) !== fs.O_RDONLY) {
      if (path !== DATA) throw new Refusal(EACCES);
      this.#requireWritable();
    }
    const content = path === DATA ? undefined : this.#small(path);
    const handle = this.#nextHandle;
    this.#nextHandle = (handle % 0xffff_ffff) + 1;
    this.#openFiles.set(handle, { content, durable: (flags & (fs.O_DSYNC | fs.O_SYNC)) !== 0 });
    return handle;
  }

  release(handle: number): void {
    this.#openFiles.delete(handle);
  }

  /** Resolves to the bytes read: fewer than asked for only at the end. */
  async read(handle: number, into: Uint8Array, offset: number): Promise<number> {
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
  async write(handle: number, from: Uint8Array, offset: number): Promise<number> {
    const { durable } = this.#opened(handle);
    this.#requireWritable();
    if (from.length === 0) return 0;
    const length = Math.min(from.length, this.#volume.sizeBytes - offset);
    if (length <= 0) throw new Refusal(ENOSPC);
    await this.#volume.write(offset, from.subarray(0, length), { durable: durable || this.#options.sync });
    this.#modifiedAt = new Date();
    return length;
  }

  async truncate(path: string, size: number): Promise<void> {
    const { sizeBytes } = this.#volume;
    if (path !== DATA) throw new Refusal(EPERM);
    this.#requireWritable();
    if (size > sizeBytes) throw new Refusal(EINVAL);
    if (size === sizeBytes || this.#options.truncate === 'ignore') return;
    if (this.#options.truncate === 'refuse') throw new Refusal(EPERM);
    await this.#volume.discard(size, sizeBytes - size);
    this.#modifiedAt = new Date();
    if (this.#options.sync) await this.#volume.flush();
  }

  async flush(path: string): Promise<void> {
    if (path === DATA) await this.#volume.flush();
  }

  setTimes(path: string, accessed: Date, modified: Date): void {
    this.#requireWritable();
    if (path !== DATA) return;
    this.#accessedAt = accessed;
    this.#modifiedAt = modified;
  }

  /** Mode and owner are those given at mount; asking for what they are is fine. */
  setMode(path: string, mode: number): void {
    this.#requireWritable();
    if ((mode & 0o7777) !== (this.attributes(path).mode & 0o7777)) throw new Refusal(EPERM);
  }

  setOwner(path: string, uid: number, gid: number): void {
    this.#requireWritable();
    const now = this.attributes(path);
    if ((uid !== UNCHANGED && uid !== now.uid) || (gid !== UNCHANGED && gid !== now.gid)) throw new Refusal(EPERM);
  }

  /** The directory's entries are fixed. */
  changeEntries(): never {
    this.#requireWritable();
    throw new Refusal(EPERM);
  }

  #requireWritable(): void {
    if (this.readOnly) throw new Refusal(EROFS);
  }

  #opened(handle: number): OpenFile {
    const file = this.#openFiles.get(handle);
    if (file === undefined) throw new Refusal(EBADF);
    return file;
  }

  #small(path: string): Uint8Array {
    const content = this.#files.get(path);
    if (content === undefined) throw new Refusal(ENOENT);
    return content;
  }
}
