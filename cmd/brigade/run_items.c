/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdlib.h>

#include "run.h"

void run_list_push(run_list *list, run_item *item)
{
    item->next = NULL;
    if (list->head == NULL)
        list->head = item;
    else
        list->tail->next = item;
    list->tail = item;
}

run_item *run_list_pop(run_list *list)
{
    run_item *item = list->head;
    if (item != NULL)
        list->head = item->next;
    return item;
}

void run_list_append(run_list *to, run_list *from)
{
    if (from->head == NULL)
        return;
    if (to->head == NULL)
        to->head = from->head;
    else
        to->tail->next = from->head;
    to->tail = from->tail;
    from->head = from->tail = NULL;
}

void run_item_fail(run_item *item, brg_status status, const char *format, ...)
{
    item->end = RUN_FAILED;
    item->status = status;
    if (item->error == NULL)
        item->error = calloc(1, sizeof(*item->error));
    if (item->error == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item->error->message, sizeof(item->error->message), format, arguments);
    va_end(arguments);
    item->error->status = status;
}

void run_item_clear(run_item *item)
{
    brg_value_unref(item->input);
    brg_value_unref(item->output);
    brg_value_unref(item->detail);
    free(item->error);
    item->input = item->output = item->detail = NULL;
    item->error = NULL;
}
