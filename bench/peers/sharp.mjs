// SPDX-License-Identifier: MIT
// sharp.mjs INSTALLED THREADS IN-FLIGHT OUT IN: the pictures of IN to 800x600, cover, quality 80, in sharp from
// INSTALLED/node_modules. THREADS is libvips' own for each picture, 0 its default. The clock starts after Node and
// sharp have started and warmed up on a few pictures, which is more than brigade gets.
import { createRequire } from 'node:module';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

const [installed, threads, inFlight, out, input] = process.argv.slice(2);
let sharp;
try {
    sharp = createRequire(join(resolve(installed), 'package.json'))('sharp');
} catch {
    console.error('sharp is not installed; make bench-peers installs it');
    process.exit(77);
}
sharp.cache(false);
if (Number(threads) > 0) sharp.concurrency(Number(threads));

const convert = (name) =>
    sharp(join(input, name)).resize(800, 600, { fit: 'cover' }).jpeg({ quality: 80 }).toFile(join(out, name));

async function convertAll(names) {
    const queue = [...names];
    const lane = async () => {
        while (queue.length > 0) await convert(queue.pop());
    };
    await Promise.all(Array.from({ length: Number(inFlight) }, lane));
}

const names = readdirSync(input).filter((name) => name.endsWith('.jpg'));
await convertAll(names.slice(0, 8));
const before = process.hrtime.bigint();
await convertAll(names);
console.log(`images ${names.length / (Number(process.hrtime.bigint() - before) / 1e9)}`);
