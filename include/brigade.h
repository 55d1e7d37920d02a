/* SPDX-License-Identifier: MIT */
/* brigade: worker threads, worker processes and pools for C. Everything but the libuv adapter (<brigade/uv.h>). */
#ifndef BRIGADE_H
#define BRIGADE_H

#include <brigade/batch.h>
#include <brigade/broadcast.h>
#include <brigade/buffer.h>
#include <brigade/builder.h>
#include <brigade/context.h>
#include <brigade/direct.h>
#include <brigade/events.h>
#include <brigade/export.h>
#include <brigade/flow.h>
#include <brigade/fork.h>
#include <brigade/group.h>
#include <brigade/json.h>
#include <brigade/locks.h>
#include <brigade/loop.h>
#include <brigade/metrics.h>
#include <brigade/module.h>
#include <brigade/policy.h>
#include <brigade/pool.h>
#include <brigade/port.h>
#include <brigade/shared.h>
#include <brigade/status.h>
#include <brigade/stream.h>
#include <brigade/sync.h>
#include <brigade/task.h>
#include <brigade/token.h>
#include <brigade/trace.h>
#include <brigade/transfer.h>
#include <brigade/value.h>
#include <brigade/worker.h>

#endif
