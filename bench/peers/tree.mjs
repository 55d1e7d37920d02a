// SPDX-License-Identifier: MIT
// The tree of bench/tree.c: 10 x 10 maps of 10 leaves. Run by itself: Node's structuredClone of it; tree, median, us.
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
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

// The tree to send: built once, as a program of Node's would have it, while bench/tree.c builds it anew each time.
export const encodeTree = () => tree;

// The sum of a number from every leaf, each key read on the way, as bench_tree_read does.
export function sumTree(node) {
    if (Array.isArray(node)) {
        let sum = 0;
        for (const element of node) sum += sumTree(element);
        return sum;
    }
    switch (typeof node) {
    case 'object': {
        let sum = 0;
        for (const key of Object.keys(node)) sum += sumTree(node[key]);
        return sum;
    }
    case 'string':
        return node.length;
    case 'boolean':
        return node ? 1 : 0;
    default:
        return Math.trunc(node);
    }
}

export const treeSum = 600 + 100 + 4950 + 346500 + 4200; // strings, flags, doubles, integers

if (isMainThread && import.meta.url === pathToFileURL(process.argv[1]).href) {
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
}
