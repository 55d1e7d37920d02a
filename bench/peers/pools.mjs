// SPDX-License-Identifier: MIT
// pools.mjs INSTALLED POOL COMMAND: the pools of Node.js from INSTALLED/node_modules against bench/bench_pool.c, which
// has these commands too and prints the same keys. Two workers; the tasks do nothing.
//   flow COUNT    so many in flight, each submitted anew when its result came to the main thread; flow, tasks/s
//   hot           one at a time, there and back, p50; hot, us
//   stuck         one worker, a task that never ends and is given up after 20 ms, another behind it: from the end of
//                 these 20 ms to the end of the other one; stuck, ms
// POOL: piscina, workerpool or poolifier, then what applies: -process (workerpool, poolifier: worker processes), -many
// (piscina, poolifier: many tasks with each worker), -quick (workerpool: a stuck worker gets no time to clean up).
// poolifier has no way to end a stuck task.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const WINDOW_NS = 400000000n; // as BENCH_WINDOW_NS; a tenth of it to warm up, but at least WARM_TASKS
const WARM_TASKS = 2000; // until V8 has compiled it
const SAMPLES_MAX = 100000;
const WORKERS = 2;
const MANY = 256; // tasks with a worker at a time, where the pool can: fewer are slower
const STUCK_TIMEOUT_MS = 20;

const [installed, kind, command, argument] = process.argv.slice(2);
const [library, ...how] = kind.split('-');
const isProcess = how.includes('process');
const isMany = how.includes('many');
const isQuick = how.includes('quick');
const workerFile = fileURLToPath(new URL('pools_worker.cjs', import.meta.url));
process.env.BENCH_INSTALLED = resolve(installed); // for pools_worker.cjs
process.env.BENCH_POOL = kind;

function skip(reason) {
    console.error(reason);
    process.exit(77);
}

const now = () => process.hrtime.bigint();

// Each opens a pool: run(name) submits a task and promises its result, stuck() one that is given up in time.
const openers = {
    piscina({ Piscina }, workers) {
        const pool = new Piscina({
            filename: workerFile,
            minThreads: workers,
            maxThreads: workers,
            concurrentTasksPerWorker: isMany ? MANY : 1,
        });
        return {
            run: () => pool.run(0, { name: 'noop' }),
            stuck: () => pool.run(0, { name: 'stuck', signal: AbortSignal.timeout(STUCK_TIMEOUT_MS) }),
        };
    },
    workerpool(workerpool, workers) {
        const pool = workerpool.pool(workerFile, {
            workerType: isProcess ? 'process' : 'thread',
            minWorkers: workers,
            maxWorkers: workers,
            workerTerminateTimeout: isQuick ? 1 : undefined, // how long it waits for a worker to clean up, ms
        });
        return {
            run: () => pool.exec('noop', []),
            stuck: () => pool.exec('stuck', []).timeout(STUCK_TIMEOUT_MS),
        };
    },
    poolifier({ FixedClusterPool, FixedThreadPool }, workers) {
        const Pool = isProcess ? FixedClusterPool : FixedThreadPool;
        const pool = new Pool(workers, workerFile, {
            enableTasksQueue: isMany,
            tasksQueueOptions: isMany ? { concurrency: MANY } : undefined,
        });
        return { run: () => pool.execute(0, 'noop') };
    },
};

const commands = {
    // The next task is submitted by what comes with the result of the last, as in an owner that reacts to results.
    async flow(pool, inFlight) {
        const warmEnd = now() + WINDOW_NS / 10n;
        let start = 0n;
        let count = 0;
        let untilCheck = inFlight;
        let end = 0n;
        const lane = async () => {
            for (;;) {
                await pool.run();
                if (end !== 0n) return;
                count += 1;
                untilCheck -= 1;
                if (untilCheck > 0) continue;
                untilCheck = inFlight;
                const at = now();
                if (start === 0n && at >= warmEnd && count >= WARM_TASKS) {
                    start = at;
                    count = 0;
                } else if (start !== 0n && at >= start + WINDOW_NS) {
                    end = at;
                }
            }
        };
        await Promise.all(Array.from({ length: inFlight }, lane));
        // What finished between the end and the last lanes was not counted.
        console.log(`flow ${count / (Number(end - start) / 1e9)}`);
    },
    async hot(pool) {
        const samples = [];
        for (let i = 0; i < WARM_TASKS; i++) await pool.run();
        const end = now() + WINDOW_NS;
        for (let before = now(); before < end && samples.length < SAMPLES_MAX;) {
            await pool.run();
            const after = now();
            samples.push(Number(after - before) / 1e3);
            before = after;
        }
        samples.sort((a, b) => a - b);
        console.log(`hot ${samples[samples.length >> 1]}`);
    },
    async stuck(pool) {
        if (pool.stuck === undefined) skip(`${library} has no way to end a stuck task`);
        const start = now();
        const stuck = pool.stuck().then(() => 'done', () => 'given up');
        const next = pool.run();
        await next;
        const end = now();
        if ((await stuck) !== 'given up') throw new Error('the stuck task ended');
        console.log(`stuck ${Number(end - start) / 1e6 - STUCK_TIMEOUT_MS}`);
    },
};

let module;
try {
    module = createRequire(join(resolve(installed), 'package.json'))(library);
} catch {
    skip(`${library} is not installed; make bench-peers installs it`);
}
const pool = openers[library](module, command === 'stuck' ? 1 : WORKERS);
for (let i = 0; i < 100; i++) await pool.run(); // its workers are there
await commands[command](pool, Number(argument));
process.exit(0);
