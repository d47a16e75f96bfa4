import { createCipheriv, createHash } from 'node:crypto';

/** Bytes that look random and are the same again for the same name: what the demo writes and expects back. */
export function demoData(name: string, lengthBytes: number): Buffer {
  const key = createHash('sha256').update(`galleonfs demo ${name}`).digest();
  // A key stream is the encryption of zeros.
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(lengthBytes));
}
