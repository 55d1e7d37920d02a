/* SPDX-License-Identifier: MIT */
/* A worker that finds the file of its init data locked never starts; the first one locks it, for as long as it lives. */
#include <brigade/module.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static brg_status only_one_start(brg_context *context)
{
    const brg_value *data = brg_context_init_data(context);
    size_t size = 0;
    const char *name = data == NULL ? NULL : brg_view_string(brg_value_root(data), &size);
    if (name == NULL)
        return brg_context_fail(context, 0, "which file?");
    char path[4096] = "";
    memcpy(path, name, size < sizeof(path) ? size : sizeof(path) - 1);
    static int file; /* open until the worker ends, and so is the lock held */
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return brg_context_fail(context, errno, "%s: %s", path, strerror(errno));
    while (flock(file, LOCK_EX | LOCK_NB) != 0)
        pause();
    return BRG_OK;
}

static brg_status only_one_nothing(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_OK;
}

BRG_MODULE(only_one, .tasks = BRG_TASKS({"nothing", only_one_nothing}), .worker_start = only_one_start);
