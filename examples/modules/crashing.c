/* SPDX-License-Identifier: MIT */
/* A module with one good task and one that follows a NULL pointer. */
#include <brigade/module.h>

typedef struct node {
    struct node *next;
    int64_t answer;
} node;

/* Exported, so that the backtrace can name it. */
BRG_API int64_t follow(const volatile node *list);

int64_t follow(const volatile node *list) { return list->next->answer; }

static brg_status crash(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    const node last = {.next = NULL};
    return brg_value_map(output, NULL, brg_field_int("answer", follow(&last)));
}

static brg_status answer(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    return brg_value_map(output, NULL, brg_field_int("answer", 42));
}

BRG_MODULE(crashing, .tasks = BRG_TASKS({"answer", answer}, {"crash", crash}));
