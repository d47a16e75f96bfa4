/** The supervisor's promises, one by one, with small scripted programs in the daemon's place. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, test } from 'node:test';
import { eventually } from './support/eventually.ts';
import { needs } from './support/needs.ts';
import { Supervised, SUPERVISOR } from './support/supervised.ts';

describe('what the supervised program is given', { timeout: 60_000, concurrency: 2 }, () => {
  test('a notification socket, a process group of its own, and no descriptors at first', async () => {
    await using supervised = new Supervised(['environment:NOTIFY_SOCKET listened group environment:LISTEN_FDS exit:0']);
    assert.equal((await supervised.ended()).exitCode, 0);
    const [socket, ...rest] = supervised.lines();
    assert.match(socket ?? '', /^NOTIFY_SOCKET=@galleonfs-supervisor\/[0-9a-f]{32}$/);
    assert.deepEqual(rest, ['listened ', 'group is mine', 'LISTEN_FDS=']);
  });

  test('the interval of the watchdog, when there is one', async () => {
    const steps = ['environment:WATCHDOG_USEC pid-is:WATCHDOG_PID exit:0'];
    await using supervised = new Supervised(steps, ['--watchdog-ms', '30000']);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['WATCHDOG_USEC=30000000', 'WATCHDOG_PID is mine']);
  });

  test('none of the descriptors of the supervisor itself', async () => {
    await using supervised = new Supervised(['ready store:a=1 kill:KILL', 'say:up signals:SIGTERM await-signal']);
    await supervised.said('up');
    const program = openFiles(supervised.logged('info', /again/).at(-1)?.['pid']);
    const own = openFiles(supervised.pid).slice(3);
    const private_ = own.filter((file) => /^socket:|signalfd/.test(file));
    assert.equal(private_.length, 2);
    assert.deepEqual(
      program.filter((file) => private_.includes(file)),
      [],
    );
    supervised.signal('SIGTERM');
    await supervised.ended();
  });
});

describe('descriptors that are deposited', { timeout: 60_000, concurrency: 2 }, () => {
  test('come back after a kill -9, with names and content, in their order', async () => {
    const store = 'store:fuse/db=first store:request-slots=second store:fuse/db=third ready kill:KILL';
    await using supervised = new Supervised([store, 'listened pid-is:LISTEN_PID exit:0']);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.deepEqual(supervised.lines(), [
      'listened fuse/db=first,request-slots=second,fuse/db=third',
      'LISTEN_PID is mine',
    ]);
  });

  test('come back again and again without being deposited again', async () => {
    await using supervised = new Supervised([
      'store:a=1 ready kill:KILL',
      'listened ready kill:SEGV',
      'listened store:b=2 ready exit:1',
      'listened exit:0',
    ]);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened a=1', 'listened a=1', 'listened a=1,b=2']);
  });

  test('are held although their depositor dies before anything has been read', async () => {
    // No READY, no barrier: the death and the deposits are found at once.
    await using supervised = new Supervised(['store-many:9 kill:KILL', 'listened exit:0']);
    await supervised.ended();
    assert.equal(supervised.lines()[0]?.split(',').length, 9);
  });

  test('make the next program urgent until it is ready', async (t) => {
    if (!needs(t, 'root')) return;
    await using supervised = new Supervised([
      'nice store:a=1 ready kill:KILL',
      'nice ready barrier sleep:0.1 nice exit:0',
    ]);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['nice usual', 'nice urgent', 'nice usual']);
  });

  test('are forgotten by name', async () => {
    await using supervised = new Supervised([
      String.raw`store:a=1 store:b=2 store:a=3 notify:FDSTOREREMOVE=1\nFDNAME=a ready kill:KILL`,
      'listened exit:0',
    ]);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened b=2']);
  });

  test('are held once when deposited twice, under the first name', async () => {
    await using supervised = new Supervised(['store-twice:same ready kill:KILL', 'listened exit:0']);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened same1=x']);
  });

  test('do not come back once they report hang-up', async () => {
    // Its other end dies with the program.
    await using supervised = new Supervised(['store-pipe:dead store:a=1 ready kill:KILL', 'listened exit:0']);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened a=1']);
  });

  test('are called "stored" without a valid name', async () => {
    await using supervised = new Supervised([
      String.raw`raw-store:FDSTORE=1 raw-store:FDSTORE=1\nFDNAME=a:b ready kill:KILL`,
      'listened exit:0',
    ]);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened stored=raw,stored=raw']);
    assert.equal(supervised.logged('warn', /name that is not valid/).length, 1);
  });

  test('beyond the bound are refused, with one clear line', async () => {
    const options = ['--descriptors-max', '5'];
    await using supervised = new Supervised(['store-many:8 ready kill:KILL', 'listened exit:0'], options);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened many=0,many=1,many=2,many=3,many=4']);
    const [line, ...more] = supervised.logged('error', /no more descriptors/);
    assert.equal(line?.['descriptorsMax'], 5);
    assert.deepEqual(more, []);
  });

  test('of another process than the program are refused', async () => {
    await using supervised = new Supervised(['child-notify:FDSTORE=1 store:a=1 ready kill:KILL', 'listened exit:0']);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['listened a=1']);
    assert.equal(supervised.logged('warn', /another process/).length, 1);
  });

  test('can be many', async () => {
    await using supervised = new Supervised(['store-many:2000 ready kill:KILL', 'environment:LISTEN_FDS exit:0']);
    await supervised.ended();
    assert.deepEqual(supervised.lines(), ['LISTEN_FDS=2000']);
  });
});

describe('notifications', { timeout: 60_000, concurrency: 2 }, () => {
  test('that make no sense do no harm', async () => {
    const nonsense = [String.raw`notify:\0`, String.raw`notify:READY=1\0x`, `notify:${'x'.repeat(5000)}`, 'notify:ÿ=ÿ'];
    await using supervised = new Supervised([
      [...nonsense, 'store:a=1', 'ready', 'kill:KILL'].join(' '),
      'listened exit:0',
    ]);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.deepEqual(supervised.lines(), ['listened a=1']);
    assert.equal(supervised.logged('warn', /malformed/).length, 1);
  });

  test('a barrier returns when everything before it has been dealt with', async () => {
    await using supervised = new Supervised(['store:a=1 barrier say:through sleep:60']);
    await supervised.said('through');
    await eventually(() => supervised.logged('debug', /is held/).length === 1);
  });

  test('a status is logged', async () => {
    await using supervised = new Supervised(['notify:STATUS=7 exit:0']);
    await supervised.ended();
    assert.equal(supervised.logged('debug', /says: 7$/).length, 1);
  });
});

describe('the end of the program', { timeout: 60_000, concurrency: 2 }, () => {
  test('with exit code 0 ends the supervisor with 0', async () => {
    await using supervised = new Supervised(['ready exit:0']);
    assert.deepEqual(await supervised.ended(), { exitCode: 0, signal: null });
    assert.deepEqual(supervised.lines(), []);
  });

  test('with an error at the very first start is passed on, and nothing is said about it', async () => {
    await using supervised = new Supervised(['exit:29']);
    assert.equal((await supervised.ended()).exitCode, 29);
    assert.deepEqual(
      supervised.log().filter(({ level }) => level !== 'debug'),
      [],
    );
  });

  test('by a signal or with an error, once it was ready, is followed by a start, and the line says which', async () => {
    await using supervised = new Supervised(['ready kill:KILL', 'ready exit:7', 'ready kill:ABRT', 'ready exit:0']);
    assert.equal((await supervised.ended()).exitCode, 0);
    const deaths = supervised.logged('warn', /starting it again/);
    assert.deepEqual(
      deaths.map(({ msg }) => msg.split(';')[0]),
      ['the daemon was ended by SIGKILL', 'the daemon ended with exit code 7', 'the daemon was ended by SIGABRT'],
    );
    assert.ok(deaths.every(({ pauseMs }) => pauseMs === 0));
    assert.equal(supervised.logged('info', /is ready again/).length, 3);
  });

  test('with exit code 85 is followed by a start that is no failure', async () => {
    await using supervised = new Supervised(['store:a=1 ready exit:85', 'listened exit:0'], ['--failures-max', '1']);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.deepEqual(supervised.lines(), ['listened a=1']);
    assert.deepEqual(supervised.logged('warn', /again/), []);
  });

  test('before it is ready, too often in a row, is the end, with a clear line and its exit code', async () => {
    await using supervised = new Supervised(
      ['ready kill:KILL', 'say:try notify:STATUS=x exit:13'],
      ['--failures-max', '4'],
    );
    assert.equal((await supervised.ended()).exitCode, 13);
    assert.equal(supervised.lines().length, 4);
    assert.deepEqual(
      supervised.logged('warn', /before it was ready/).map(({ pauseMs }) => pauseMs),
      [0, 100, 200],
    );
    assert.equal(supervised.logged('error', /giving up/)[0]?.['failures'], 4);
  });

  test('after it announced its stop is final', async () => {
    await using supervised = new Supervised(['ready notify:STOPPING=1 exit:13']);
    assert.equal((await supervised.ended()).exitCode, 13);
  });

  test('of a program that does not exist is exit code 127', () => {
    const { status, stderr } = spawnSync(SUPERVISOR, ['/does/not/exist'], { encoding: 'utf8' });
    assert.equal(status, 127);
    assert.match(stderr, /cannot be started: \/does\/not\/exist: No such file/);
  });
});

describe('signals to the supervisor', { timeout: 60_000, concurrency: 2 }, () => {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    test(`${name} is passed on`, async () => {
      await using supervised = new Supervised([`signals:${name} ready say:up await-signal exit:0`]);
      await supervised.said('up');
      supervised.signal(name);
      assert.equal((await supervised.ended()).exitCode, 0);
      assert.deepEqual(supervised.lines(), ['up', `got ${name}`]);
    });
  }

  test('a second one is passed on too, and a crash after a stop is not followed by a start', async () => {
    await using supervised = new Supervised(['signals:SIGTERM ready say:up await-signal await-signal kill:KILL']);
    await supervised.said('up');
    supervised.signal('SIGTERM');
    await supervised.said('got SIGTERM');
    supervised.signal('SIGTERM');
    assert.equal((await supervised.ended()).exitCode, 137);
    assert.deepEqual(supervised.lines(), ['up', 'got SIGTERM', 'got SIGTERM']);
    assert.equal(supervised.logged('warn', /SIGKILL while it was stopping/).length, 1);
  });

  test('a crash after SIGUSR2 is followed by a start', async () => {
    await using supervised = new Supervised(['ready signals:SIGUSR2 say:up await-signal kill:KILL', 'exit:0']);
    await supervised.said('up');
    supervised.signal('SIGUSR2');
    assert.equal((await supervised.ended()).exitCode, 0);
  });

  test('a stop between two starts ends it at once', async () => {
    await using supervised = new Supervised(['ready say:up kill:KILL', 'notify:STATUS=x exit:5']);
    // The pauses grow to seconds; one of them is hit.
    await eventually(() => supervised.logged('warn', /trying again/).some(({ pauseMs }) => Number(pauseMs) >= 800));
    supervised.signal('SIGTERM');
    assert.equal((await supervised.ended()).exitCode, 5);
    assert.equal(supervised.logged('warn', /asked to stop by SIGTERM while/).length, 1);
  });

  test('SIGKILL leaves the program running', async () => {
    await using supervised = new Supervised(['ready orphaned exit:0']);
    await supervised.said('alive without a supervisor');
    assert.equal((await supervised.ended()).signal, 'SIGKILL');
  });
});

describe('the watchdog', { timeout: 60_000, concurrency: 2 }, () => {
  test('aborts a program that is ready and says nothing, and starts it again', async () => {
    await using supervised = new Supervised(['store:a=1 ready sleep:60', 'listened exit:0'], ['--watchdog-ms', '200']);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.deepEqual(supervised.lines(), ['listened a=1']);
    assert.equal(supervised.logged('error', /no sign of life/)[0]?.['watchdogMs'], 200);
    assert.equal(supervised.logged('warn', /SIGABRT/).length, 1);
  });

  test('kills one that does not abort', async () => {
    const steps = ['ignore:SIGABRT ready sleep:60', 'exit:0'];
    await using supervised = new Supervised(steps, ['--watchdog-ms', '100']);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.equal(supervised.logged('error', /did not abort/).length, 1);
    assert.equal(supervised.logged('warn', /SIGKILL/).length, 1);
  });

  test('leaves one alone that gives signs of life, starts, or stops', async () => {
    const steps = ['sleep:1.5 ready feed:2 notify:STOPPING=1 sleep:1.5 exit:0'];
    await using supervised = new Supervised(steps, ['--watchdog-ms', '1000']);
    assert.equal((await supervised.ended()).exitCode, 0);
    assert.deepEqual(supervised.logged('error', /./), []);
  });
});

test('the supervisor is small, also with a thousand descriptors', { timeout: 60_000 }, async (t) => {
  if (process.env['GALLEONFS_TEST_SUPERVISOR'] !== undefined) {
    t.skip('a sanitizer takes memory of its own');
    return;
  }
  await using supervised = new Supervised(['store-many:1000 barrier say:up sleep:60']);
  await supervised.said('up');
  const residentKib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${supervised.pid}/status`, 'utf8'))?.[1]);
  assert.ok(residentKib < 8192, `${residentKib} KiB`);
});

/** What a process has open, in the order of the descriptors. */
function openFiles(pid: unknown): string[] {
  const directory = `/proc/${String(pid)}/fd`;
  const numbers = readdirSync(directory).sort((a, b) => Number(a) - Number(b));
  return numbers.map((number) => readlinkSync(`${directory}/${number}`));
}
