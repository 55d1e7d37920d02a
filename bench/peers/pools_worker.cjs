// SPDX-License-Identifier: MIT
// The worker of every pool in pools.mjs: a task that does nothing and one that never ends. No ES module: poolifier's
// process workers never answer from one.
'use strict';
const { join } = require('node:path');

const load = require('node:module').createRequire(join(process.env.BENCH_INSTALLED, 'package.json'));
const [library, how] = process.env.BENCH_POOL.split('-');

function noop() {}

function stuck() {
    for (;;);
}

if (library === 'piscina') {
    module.exports = { noop, stuck };
} else if (library === 'workerpool') {
    load('workerpool').worker({ noop, stuck });
} else {
    const { ClusterWorker, ThreadWorker } = load('poolifier');
    module.exports = new (how === 'process' ? ClusterWorker : ThreadWorker)({ noop });
}
