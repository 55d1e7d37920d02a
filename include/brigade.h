/* SPDX-License-Identifier: MIT */
/* brigade: worker threads, worker processes and pools for C. Everything but the libuv adapter (<brigade/uv.h>). */
#ifndef BRIGADE_H
#define BRIGADE_H

#include <brigade/buffer.h>
#include <brigade/export.h>
#include <brigade/loop.h>
#include <brigade/module.h>
#include <brigade/pool.h>
#include <brigade/status.h>
#include <brigade/value.h>
#include <brigade/worker.h>

#endif
