/** Runs tasks that share a key one after another, in the order they came; different keys do not wait for each other. */
export class SerialQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Resolves when everything that was started before this call has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values());
  }

  async run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(task);
    const tail = result.then(ignore, ignore);
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}

function ignore(): void {
  // The caller of run() sees the failure; the next task in line only waits for the end.
}
