/**
 * A real systemd as process 1 of namespaces of its own, where the host's process 1 is another: what it mounts, runs and
 * keeps ends with it, and so does what is written to /etc; the host sees none of it. Needs root, systemd and cgroups.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { bash, tryBash } from './shell.ts';

const START_TIMEOUT_MS = 20_000;

/** $1: the name of the control group. */
const BOOT = `
for hierarchy in systemd unified; do
  [ -d "/sys/fs/cgroup/$hierarchy" ] || continue
  mkdir -p "/sys/fs/cgroup/$hierarchy/$1"
  echo $$ > "/sys/fs/cgroup/$hierarchy/$1/cgroup.procs"
done
if [ -e /sys/fs/cgroup/cgroup.procs ]; then mkdir -p "/sys/fs/cgroup/$1"; echo $$ > "/sys/fs/cgroup/$1/cgroup.procs"; fi
exec unshare --cgroup --mount --pid --uts --ipc --fork --kill-child --mount-proc bash -c '
set -e
unified=; [ -e /sys/fs/cgroup/cgroup.procs ] && unified=1
umount -R /sys/fs/cgroup
if [ -n "$unified" ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
fi
mount -t tmpfs tmpfs /run
# A copy of /etc, so that services can be installed.
mkdir /run/etc
cp -a /etc/. /run/etc/
mount --bind /run/etc /etc
mkdir -p /run/systemd/system /run/lock
# None of the units of the host may run: they would empty /tmp and set the parameters of the kernel we share.
for directory in /lib/systemd/system /etc/systemd/system /usr/local/lib/systemd /lib/systemd/system-generators; do
  [ ! -d "$directory" ] || mount -t tmpfs tmpfs "$directory"
done
for target in test sysinit basic shutdown; do
  printf "[Unit]\\nDefaultDependencies=no\\n" > "/run/systemd/system/$target.target"
done
export container=lxc
exec /lib/systemd/systemd --system --unit=test.target --log-target=console --log-level=notice --show-status=no
'
`;

export class SystemdNamespace implements AsyncDisposable {
  readonly #process: ChildProcess;
  #pid = 0;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  /** Boots it without any service. */
  static async boot(): Promise<SystemdNamespace> {
    const child = spawn('bash', ['-c', BOOT, 'bash', controlGroup()], { stdio: 'ignore' });
    const namespace = new SystemdNamespace(child);
    try {
      await namespace.#booted();
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
    return namespace;
  }

  /** Runs a bash script inside. */
  async bash(script: string, ...parameters: readonly (string | number)[]): Promise<string> {
    const enter = 'pid="$1"; shift; exec nsenter --target "$pid" --mount --pid --cgroup bash -euo pipefail -c "$@"';
    return await bash(enter, this.#pid, script, 'bash', ...parameters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    if (this.#pid !== 0) process.kill(this.#pid, 'SIGKILL');
    this.#process.kill('SIGKILL');
    await ended;
    // What was killed needs a moment to leave its groups.
    const remove = 'sleep 0.2; find /sys/fs/cgroup -depth -type d -path "*/$1*" -exec rmdir {} +';
    await tryBash(remove, controlGroup());
  }

  async #booted(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < deadline) {
      if (this.#process.exitCode !== null) throw new Error(`systemd ended with exit code ${this.#process.exitCode}`);
      this.#pid = await firstChild(this.#process.pid ?? 0);
      if (this.#pid !== 0) {
        const state = await this.bash('systemctl is-active test.target || true').catch(() => '');
        if (state.trim() === 'active') return;
      }
      await sleep(100);
    }
    throw new Error('systemd did not start');
  }
}

function controlGroup(): string {
  return `galleonfs-test-${process.pid}`;
}

/** 0: none yet. */
async function firstChild(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return Number(children.split(' ')[0] ?? 0);
}
