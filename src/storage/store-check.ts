import { addon, type CheckHandle, type CheckReport } from './native.ts';
import { settled } from './native-error.ts';

/** The offline check of one store, which it keeps locked until it is disposed of. One operation at a time. */
export class StoreCheck implements Disposable {
  readonly directory: string;
  readonly #handle: CheckHandle;

  private constructor(directory: string, handle: CheckHandle) {
    this.directory = directory;
    this.#handle = handle;
  }

  /**
   * Without `writable` nothing in the directory can be changed, and repair() fails.
   * @throws GalleonError STORE_NOT_FOUND, STORE_LOCKED, STORE_IO
   */
  static async begin(directory: string, options: { readonly writable: boolean }): Promise<StoreCheck> {
    const handle = await settled(`checking ${directory}`, () => addon().checkBegin(directory, options.writable));
    return new StoreCheck(directory, handle);
  }

  /**
   * Verifies everything. What is wrong is in the report.
   * @throws GalleonError OPERATION_CANCELLED, STORE_FORMAT_NEWER, STORE_IO
   */
  async run(): Promise<CheckReport> {
    return await settled(`checking ${this.directory}`, () => addon().checkRun(this.#handle));
  }

  /** Does what the findings of the last run say in `repair`; run again to see what is left. @throws GalleonError STORE_IO, STORE_NO_SPACE */
  async repair(): Promise<void> {
    await settled(`repairing ${this.directory}`, () => addon().checkRepair(this.#handle));
  }

  /** Of the run under way; the total is an estimate until the map has been walked. */
  progress(): { readonly doneBytes: number; readonly totalBytes: number } {
    return addon().checkProgress(this.#handle);
  }

  cancel(): void {
    addon().checkCancel(this.#handle);
  }

  [Symbol.dispose](): void {
    addon().checkEnd(this.#handle);
  }
}
