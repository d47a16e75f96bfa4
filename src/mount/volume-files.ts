import type { VolumeRecord } from '../catalog/index.ts';
import { formatByteSize } from '../lib/index.ts';
import type { SmallFile } from './mount-driver.ts';

/** `README.txt` and `.galleonfs_metadata`, which stand beside `data`. */
export function volumeFiles(record: VolumeRecord, mountPoint: string): SmallFile[] {
  return [
    { name: 'README.txt', content: Buffer.from(readme(record, mountPoint)) },
    { name: '.galleonfs_metadata', content: Buffer.from(`${JSON.stringify(metadata(record), undefined, 2)}\n`) },
  ];
}

function metadata(record: VolumeRecord): object {
  const { name, id, sizeBytes, blockSizeBytes, storageClass, labels, createdAt } = record;
  return { formatVersion: 1, name, id, sizeBytes, blockSizeBytes, storageClass, labels, createdAt };
}

function readme({ name, sizeBytes, blockSizeBytes }: VolumeRecord, mountPoint: string): string {
  const data = `${mountPoint}/data`;
  return `GalleonFS volume "${name}"
${'='.repeat(name.length + 19)}

The file "data" is a block device of ${sizeBytes} bytes (${formatByteSize(sizeBytes)}, blocks of
${formatByteSize(blockSizeBytes)}). Its size never changes. Every block is checksummed; space is taken as you write.

Use it as it is:
  echo "Hello GalleonFS!" > ${data}
  cp app.conf ${data}
  dd if=image.raw of=${data} bs=1M conv=fsync

or put a file system on it:
  mkfs.ext4 ${data}
  mount -o loop ${data} /somewhere
  fstrim /somewhere          gives deleted space back

Writing fewer bytes than the volume holds discards the rest where the file is truncated first, as ">" and cp do;
"dd conv=notrunc" leaves it.

A write is safe from a crash of the daemon when it returns, and from power loss after fsync (or with O_DSYNC).
Details of the volume are in .galleonfs_metadata (JSON) and in "galleonfs volume show ${name}".
`;
}
