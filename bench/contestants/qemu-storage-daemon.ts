import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command, serve, sparseFile, unmountLater, waitForSize, type Contestant, type Site } from '../contestant.ts';

const needs = ['qemu-storage-daemon', 'qemu-img', '/dev/fuse'];

export const qemuRaw: Contestant = {
  name: 'qsd-raw',
  description: 'qemu-storage-daemon FUSE export of a raw image',
  needs,
  open: async (site) => exported(site, 'raw', await sparseFile(join(site.directory, 'disk.img'), site.sizeMib)),
};

export const qemuQcow2: Contestant = {
  name: 'qsd-qcow2',
  description: 'qemu-storage-daemon FUSE export of a qcow2 image, lazy refcounts',
  needs,
  async open(site) {
    const image = join(site.directory, 'disk.qcow2');
    await command('qemu-img', 'create', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on', image, `${site.sizeMib}M`);
    return exported(site, 'qcow2', image);
  },
};

async function exported(site: Site, format: 'raw' | 'qcow2', image: string): Promise<string> {
  const at = join(site.directory, 'export'); // the export covers a regular file
  await writeFile(at, '');
  unmountLater(site, at);
  const file = `driver=file,filename=${image},node-name=file,aio=threads,cache.direct=off,discard=unmap`;
  const disk = `driver=${format},file=file,node-name=disk,discard=unmap`;
  const fuse = `type=fuse,id=export,node-name=disk,mountpoint=${at},writable=on,growable=off,allow-other=off`;
  serve(site, 'qemu-storage-daemon', '--blockdev', file, '--blockdev', disk, '--export', fuse);
  return waitForSize(site, at);
}
