// SPDX-License-Identifier: MIT
// Node's structuredClone of the tree that bench/bench_value.c builds: 10 x 10 maps of 10 leaves. Median, us.
import { serialize } from 'node:v8';

const keys = ['surname', 'enabled', 'average', 'byteSize', 'position'].concat(
    ['counted', 'topEdge', 'leftEdge', 'rightEdge', 'lowest']);

function leaf(index, number) {
    if (index === 0) return 'a name';
    if (index === 1) return true;
    if (index === 2) return number + 0.5;
    return number * 10 + index;
}

const group = (number) => Object.fromEntries(keys.map((key, index) => [key, leaf(index, number)]));
const ten = [...Array(10).keys()];
const tree = ten.map((section) => ({ groups: ten.map((index) => group(section * 10 + index)) }));

const samples = [];
const start = process.hrtime.bigint();
const warm = start + 200000000n;
const end = warm + 400000000n;
for (let before = start; before < end;) {
    structuredClone(tree);
    const after = process.hrtime.bigint();
    if (before >= warm) samples.push(Number(after - before) / 1e3);
    before = after;
}
samples.sort((a, b) => a - b);
console.error(`${serialize(tree).length} bytes`);
console.log(`tree ${samples[samples.length >> 1]}`);
