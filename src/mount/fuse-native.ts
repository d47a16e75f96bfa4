/**
 * The part of the `fuse-native` package that the portable driver uses, and how it is loaded. It carries no types of its
 * own, and it is an optional dependency: it is looked for when the first portable mount is made.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';

type Reply = (errno: number) => void;
type ReplyWith<T> = (errno: number, value?: T) => void;
/** `result` is a byte count, or a negative errno. */
type ReplyCount = (result: number) => void;

export interface FuseNativeStat {
  mode: number;
  uid: number;
  gid: number;
  size: number;
  nlink: number;
  ino: number;
  /** In 512-byte units. */
  blocks: number;
  blksize: number;
  atime: Date;
  mtime: Date;
  ctime: Date;
}

/** Each number goes to the kernel as 32 bits. */
export interface FuseNativeStatfs {
  bsize: number;
  frsize: number;
  blocks: number;
  bfree: number;
  bavail: number;
  files: number;
  namemax: number;
}

/** Errors are negative errno values. A buffer belongs to libfuse: it may be used until the reply, never after. */
export interface FuseNativeOperations {
  getattr(path: string, reply: ReplyWith<FuseNativeStat>): void;
  readdir(path: string, reply: ReplyWith<string[]>): void;
  statfs(path: string, reply: ReplyWith<FuseNativeStatfs>): void;
  open(path: string, flags: number, reply: ReplyWith<number>): void;
  read(path: string, handle: number, into: Buffer, length: number, offset: number, reply: ReplyCount): void;
  write(path: string, handle: number, from: Buffer, length: number, offset: number, reply: ReplyCount): void;
  truncate(path: string, size: number, reply: Reply): void;
  ftruncate(path: string, handle: number, size: number, reply: Reply): void;
  fsync(path: string, dataOnly: boolean, handle: number, reply: Reply): void;
  release(path: string, handle: number, reply: Reply): void;
  utimens(path: string, accessedMs: number, modifiedMs: number, reply: Reply): void;
  chmod(path: string, mode: number, reply: Reply): void;
  chown(path: string, uid: number, gid: number, reply: Reply): void;
  create(path: string, mode: number, reply: Reply): void;
  mknod(path: string, mode: number, device: number, reply: Reply): void;
  mkdir(path: string, mode: number, reply: Reply): void;
  unlink(path: string, reply: Reply): void;
  rmdir(path: string, reply: Reply): void;
  rename(from: string, to: string, reply: Reply): void;
  link(from: string, to: string, reply: Reply): void;
  symlink(from: string, to: string, reply: Reply): void;
}

export interface FuseNativeOptions {
  /** Milliseconds; `false`: wait for ever. On a timeout the buffer would return to libfuse while an I/O still fills it. */
  timeout: false;
  allowOther: boolean;
  defaultPermissions: boolean;
  fsname: string;
  subtype: string;
}

export interface FuseNative {
  mount(done: (error: Error | null | undefined) => void): void;
  unmount(done: (error: Error | null | undefined) => void): void;
}

type FuseNativeConstructor = new (
  mountPoint: string,
  operations: FuseNativeOperations,
  options: FuseNativeOptions,
) => FuseNative;

const RTLD_NODELETE = 0x1000; // glibc's and musl's value; node:os does not list it

/**
 * Loads the package. Its binary wants `libfuse.so.2`: the system's where there is one, else the copy the package
 * carries, which must already be in the process when the binary is linked.
 *
 * @throws Error as require() does, when the package or a library is missing.
 */
export function loadFuseNative(): FuseNativeConstructor {
  const require = createRequire(import.meta.url);
  try {
    return require('fuse-native') as FuseNativeConstructor;
  } catch (error) {
    if (process.platform !== 'linux' || !isMissingLibrary(error)) throw error;
  }
  keepLibraryLoaded(require.resolve(`fuse-native/prebuilds/linux-${process.arch}/libfuse.so`));
  return require('fuse-native') as FuseNativeConstructor;
}

function isMissingLibrary(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_FAILED';
}

function keepLibraryLoaded(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch {
    // Expected: it is no addon. NODELETE keeps it loaded; if it is not, the caller's next require says why.
  }
}
