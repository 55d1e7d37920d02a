// SPDX-License-Identifier: MIT
// Node's worker_threads against bench/bench_message.c, which has these subcommands too and prints the same keys:
//   echo BYTES    a number (0) or so many bytes to a worker and back; hot, us
//   rate BYTES    the same one way, at most 1024 on their way; rate, messages/s
//   channel       a number from worker to worker and back, over a MessageChannel; hot, us
//   copy BYTES    an ArrayBuffer copied to a worker, which answers with a number; hot, us
//   move BYTES    an ArrayBuffer transferred to a worker and back; hot, us
//   tree          bench/peers/tree.mjs's tree to a worker, which reads every leaf and answers with a sum; hot, us
//   notify        Atomics.wait and notify, main thread and worker in turn; hot, us
//   broadcast     a number to 8 workers through a BroadcastChannel; rate, messages delivered/s
import { BroadcastChannel, MessageChannel, Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { encodeTree, sumTree, treeSum } from './tree.mjs';

const WINDOW_NS = 400000000n; // as BENCH_WINDOW_NS; a tenth of it to warm up
const SAMPLES_MAX = 100000;
const ON_THEIR_WAY_MAX = 1024;
const ACKNOWLEDGE_EVERY = 64;
const RECEIVERS = 8;
const BURST = 256;

const now = () => process.hrtime.bigint();

function median(samples) {
    samples.sort((a, b) => a - b);
    return samples[samples.length >> 1];
}

// Counts what `finished` is told of, a warm-up first, then the window: whether it goes on.
function flow() {
    const warmEnd = now() + WINDOW_NS / 10n;
    let start = 0n;
    let count = 0;
    return (finished) => {
        const at = now();
        count += finished;
        if (start === 0n && at >= warmEnd) {
            start = at;
            count = 0;
        } else if (start !== 0n && at >= start + WINDOW_NS) {
            console.log(`rate ${count / (Number(at - start) / 1e9)}`);
            return false;
        }
        return true;
    };
}

// Round trips over a port: `send` posts, each answer ends one. Resolves with the median in microseconds.
function roundTrips(port, send) {
    return new Promise((resolve) => {
        const samples = [];
        const warmEnd = now() + WINDOW_NS / 10n;
        const end = warmEnd + WINDOW_NS;
        let before = now();
        let answer = null;
        port.on('message', (message) => {
            const after = now();
            if (before >= warmEnd) samples.push(Number(after - before) / 1e3);
            if (after >= end || samples.length >= SAMPLES_MAX) {
                port.removeAllListeners('message');
                resolve(median(samples));
                return;
            }
            answer = message;
            before = now();
            send(answer);
        });
        before = now();
        send(answer);
    });
}

const payload = (bytes) => (bytes === 0 ? 42 : new Uint8Array(bytes));

function start(role, data = {}, transferList = []) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { role, ...data }, transferList });
    worker.on('error', (error) => {
        console.error(error);
        process.exit(1);
    });
    return new Promise((resolve) => worker.once('message', () => resolve(worker)));
}

// ---- what a worker does ------------------------------------------------------------------------------------

const echo = (port) => port.on('message', (message) => port.postMessage(message));

const roles = {
    echo: () => echo(parentPort),
    count() {
        let count = 0;
        parentPort.on('message', () => {
            count += 1;
            if (count % ACKNOWLEDGE_EVERY === 0) parentPort.postMessage(ACKNOWLEDGE_EVERY);
        });
    },
    answer: () => parentPort.on('message', (message) => parentPort.postMessage(message.byteLength)),
    sum: () => parentPort.on('message', (message) => parentPort.postMessage(sumTree(message))),
    // Touches both ends of what it gets and sends the same bytes back.
    stamp() {
        parentPort.on('message', (buffer) => {
            const bytes = new Uint8Array(buffer);
            bytes[0] += 1;
            bytes[bytes.length - 1] += 1;
            parentPort.postMessage(buffer, [buffer]);
        });
    },
    channelEcho: () => echo(workerData.port),
    async channelDrive() {
        await new Promise((resolve) => parentPort.once('message', resolve));
        const port = workerData.port;
        parentPort.postMessage(await roundTrips(port, () => port.postMessage(42)));
    },
    notify() {
        const words = new Int32Array(workerData.memory);
        parentPort.postMessage('ready');
        for (let round = 1; ; round++) {
            while (Atomics.load(words, 0) < round) Atomics.wait(words, 0, round - 1);
            Atomics.store(words, 16, round);
            Atomics.notify(words, 16, 1);
        }
    },
    broadcast() {
        const channel = new BroadcastChannel('news');
        channel.onmessage = (event) => {
            if (event.data < 0) parentPort.postMessage(0);
        };
    },
};

// ---- what the main thread measures -------------------------------------------------------------------------

const commands = {
    async echo(bytes) {
        const worker = await start('echo');
        const message = payload(bytes);
        console.log(`hot ${await roundTrips(worker, () => worker.postMessage(message))}`);
    },
    async rate(bytes) {
        const worker = await start('count');
        const message = payload(bytes);
        const goesOn = flow();
        const post = (count) => {
            for (let i = 0; i < count; i++) worker.postMessage(message);
        };
        await new Promise((resolve) => {
            worker.on('message', (count) => (goesOn(count) ? post(count) : resolve()));
            post(ON_THEIR_WAY_MAX);
        });
    },
    async channel() {
        const { port1, port2 } = new MessageChannel();
        await start('channelEcho', { port: port1 }, [port1]);
        const driver = await start('channelDrive', { port: port2 }, [port2]);
        const result = new Promise((resolve) => driver.once('message', resolve));
        driver.postMessage('go');
        console.log(`hot ${await result}`);
    },
    async copy(bytes) {
        const worker = await start('answer');
        const buffer = new ArrayBuffer(bytes);
        new Uint8Array(buffer).fill(1);
        console.log(`hot ${await roundTrips(worker, () => worker.postMessage(buffer))}`);
    },
    async move(bytes) {
        const worker = await start('stamp');
        const first = new ArrayBuffer(bytes);
        new Uint8Array(first).fill(1);
        const send = (answer) => {
            const buffer = answer ?? first;
            worker.postMessage(buffer, [buffer]);
        };
        console.log(`hot ${await roundTrips(worker, send)}`);
    },
    async tree() {
        const worker = await start('sum');
        const send = (answer) => {
            if (answer !== null && answer !== treeSum) throw new Error(`the sum came back as ${answer}`);
            worker.postMessage(encodeTree());
        };
        console.log(`hot ${await roundTrips(worker, send)}`);
    },
    async notify() {
        const memory = new SharedArrayBuffer(256); // two words, on a cache line each
        const words = new Int32Array(memory);
        await start('notify', { memory });
        const samples = [];
        const warmEnd = now() + WINDOW_NS / 10n;
        const end = warmEnd + WINDOW_NS;
        let round = 0;
        for (let before = now(); before < end && samples.length < SAMPLES_MAX;) {
            round += 1;
            Atomics.store(words, 0, round);
            Atomics.notify(words, 0, 1);
            while (Atomics.load(words, 16) < round) Atomics.wait(words, 16, round - 1);
            const after = now();
            if (before >= warmEnd) samples.push(Number(after - before) / 1e3);
            before = after;
        }
        console.log(`hot ${median(samples)}`);
    },
    async broadcast() {
        const workers = await Promise.all(Array.from({ length: RECEIVERS }, () => start('broadcast')));
        const channel = new BroadcastChannel('news');
        const goesOn = flow();
        // A burst, then an answer from each, so that no queue grows: bench_message.c does the same.
        const burst = () => {
            for (let i = 1; i < BURST; i++) channel.postMessage(i);
            channel.postMessage(-1);
        };
        await new Promise((resolve) => {
            let answers = 0;
            for (const worker of workers) {
                worker.on('message', () => {
                    answers += 1;
                    if (answers < RECEIVERS) return;
                    answers = 0;
                    if (goesOn(RECEIVERS * BURST)) burst();
                    else resolve();
                });
            }
            burst();
        });
    },
};

if (isMainThread) {
    const [command, bytes] = process.argv.slice(2);
    if (!Object.hasOwn(commands, command ?? '')) {
        console.error(`usage: threads.mjs SUBCOMMAND [BYTES], one of: ${Object.keys(commands).join(' ')}`);
        process.exit(1);
    }
    await commands[command](Number(bytes ?? 0));
    process.exit(0); // the workers live until then
} else {
    roles[workerData.role](); // returns once it listens, `notify` never
    parentPort.postMessage('ready');
}
