/* SPDX-License-Identifier: MIT */
/* What bench/bench_message.c and the workers it measures, bench/message_module.c, agree on. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

/*
 * What a worker does with each message is its first argument:
 *   echo       sends it back
 *   count      nothing; sends a nil back
 *   answer     sends a number back
 *   stamp      adds one to the first and last byte of its buffer and sends it back
 *   sum        reads it as the tree, and sends the sum back
 *   port-echo  takes its port and sends back over it what comes, until it closes
 *   port-drive takes its port and measures round trips over it; prints `hot`, then sends the message back
 *   notify     takes its shared memory and takes turns with the owner, until a turn of 0
 *   broadcast  opens the name in it, sends a nil back, then one for each negative number heard, until it hears a nil
 */

/* Where the turns are in the shared memory: a cache line each. */
#define MESSAGE_PING_OFFSET 0
#define MESSAGE_PONG_OFFSET 64
#define MESSAGE_SHARED_BYTES 128

#endif
