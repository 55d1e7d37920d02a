/* SPDX-License-Identifier: MIT */
/*
 * Teams: who is in one, who steals from whom, and who sleeps and is woken.
 *
 * Life. A worker's brg__forks are made when it first forks or runs a stolen fork, and belong to the team: they end with
 * it. When the worker's thread ends it gives them back, and a later worker gets them. So whoever has read a pointer to
 * some may use it as long as the team lives, whatever became of their worker. A worker that is abandoned keeps its own,
 * and its owner (the pool) keeps the team as long as some are in use (hooks.leave); the worker that replaces it gets
 * others.
 *
 * Sleeping. Three kinds sleep: idle workers, in the pool's way; workers in a join, on their gate. Who has pushed a fork
 * wakes one of them, if nobody is looking for work already and nobody who was woken is still on the way (Go's and
 * tokio's rule): an idle one, else one that waits in a join of the same task. Who then finds a fork and sees more wakes
 * the next, and so does who looked and found something else to do.
 *
 * A push followed by a look at who sleeps, against showing oneself as asleep followed by a look at the deques: each
 * needs a fence between its two steps, or both may miss the other. The sleeper has one; the pusher has none, because it
 * pushes every few nanoseconds. It cannot lose more than speed, as the join runs what nobody took. It would lose that
 * only if no push followed for long, and only while its store is under way, for which no CPU needs longer than it takes
 * to get a line of memory: so the sleeper looks once more after TEAM_SETTLE_PAUSES. Nothing in the architecture
 * promises it, but nothing wrong comes of it.
 */
#include "os/memory.h"
#include "os/thread.h"
#include "pool/fork.h"
#include "worker/worker.h"

#define TEAM_CAPACITY_MIN 16
#define TEAM_SETTLE_PAUSES 64 /* some 2 us */

void brg__team_init(brg__team *team, const brg__team_hooks *hooks, void *owner, uint64_t spin_ns)
{
    *team = (brg__team){.hooks = hooks, .owner = owner, .spin_ns = spin_ns};
    brg__lock_init(&team->lock, BRG__RANK_LEAF, "team");
}

void brg__team_done(brg__team *team)
{
    for (uint32_t i = 0; i < team->xcount; i++)
        brg__mfree_aligned(team->xtable->xforks[i]);
    for (brg__team_table *table = team->xtable, *older; table != NULL; table = older) {
        older = table->older;
        brg__mfree(table);
    }
    team->xtable = NULL;
    team->xcount = 0;
}

/* ---- who is in it ------------------------------------------------------------------------------------------------ */

/* Room for one more. */
static bool team_grow_locked(brg__team *team)
{
    brg__team_table *table = team->xtable;
    if (table != NULL && team->xcount < table->capacity)
        return true;
    uint32_t capacity = table == NULL ? TEAM_CAPACITY_MIN : 2 * table->capacity;
    brg__team_table *larger = brg__calloc(1, sizeof(*larger) + capacity * sizeof(brg__forks *));
    if (larger == NULL)
        return false;
    larger->older = table;
    larger->capacity = capacity;
    for (uint32_t i = 0; i < team->xcount; i++)
        larger->xforks[i] = table->xforks[i];
    brg_store_release(&team->xtable, larger); /* pairs with brg__team_at and team_count */
    return true;
}

static brg__forks *team_new_locked(brg__team *team)
{
    brg__forks *forks = team_grow_locked(team) ? brg__calloc_aligned(sizeof(*forks)) : NULL;
    if (forks == NULL)
        return NULL;
    forks->team = team;
    forks->index = team->xcount;
    forks->random = 0x9e3779b9u * (team->xcount + 1);
    forks->xroot = forks;
    brg__list_init(&forks->waiting);
    brg__spinner_init(&forks->spinner, team->spin_ns);
    brg_store_release(&team->xtable->xforks[team->xcount], forks);
    brg_store_release(&team->xcount, team->xcount + 1); /* pairs with team_count */
    return forks;
}

static void team_leave(brg__forks *forks)
{
    brg__team *team = forks->team;
    void *owner = team->owner;
    void (*leave)(void *) = team->hooks->leave;
    brg__lock_acquire(&team->lock);
    forks->in_use = false;
    forks->context = NULL;
    brg_store_relaxed(&forks->xlost, 0u);
    brg__lock_release(&team->lock);
    leave(owner);
}

brg__forks *brg__team_join(brg__team *team, brg_context *context)
{
    brg__forks *forks = NULL;
    brg__lock_acquire(&team->lock);
    for (uint32_t i = 0; i < team->xcount && forks == NULL; i++)
        if (!team->xtable->xforks[i]->in_use)
            forks = team->xtable->xforks[i];
    if (forks == NULL)
        forks = team_new_locked(team);
    if (forks != NULL) {
        forks->in_use = true;
        forks->context = context;
        context->forks = forks;
        context->forks_done = team_leave;
    }
    brg__lock_release(&team->lock);
    return forks;
}

static brg_worker *team_worker_locked(const brg__forks *forks) { return forks->in_use ? forks->context->owner : NULL; }

uint32_t brg__team_lose(brg__team *team, const brg_worker *worker, brg_worker **helpers, uint32_t max)
{
    uint32_t count = 0;
    brg__forks *lost = NULL;
    brg__lock_acquire(&team->lock);
    for (uint32_t i = 0; i < team->xcount && lost == NULL; i++)
        if (team_worker_locked(team->xtable->xforks[i]) == worker)
            lost = team->xtable->xforks[i];
    if (lost != NULL)
        brg_store_relaxed(&lost->xlost, 1u);
    for (uint32_t i = 0; i < team->xcount && lost != NULL && count < max; i++) {
        brg__forks *forks = team->xtable->xforks[i];
        if (forks != lost && forks->in_use && brg_load_relaxed(&forks->xroot) == lost) {
            helpers[count] = team_worker_locked(forks);
            brg__worker_ref(helpers[count++]);
        }
    }
    brg__lock_release(&team->lock);
    return count;
}

/* ---- stealing ---------------------------------------------------------------------------------------------------- */

static uint32_t team_count(const brg__team *team) { return brg_load_acquire(&team->xcount); }

/* By `root`'s, or by anybody idle. */
static bool team_may_rob(const brg__forks *victim, const brg__forks *root)
{
    if (brg__deque_count(&victim->deque) == 0)
        return false;
    const brg__forks *its_root = brg_load_relaxed(&victim->xroot);
    return root != NULL ? its_root == root : brg_load_relaxed(&its_root->xlost) == 0;
}

static brg__forks *team_find(brg__team *team, const brg__forks *root)
{
    uint32_t count = team_count(team);
    for (uint32_t i = 0; i < count; i++)
        if (team_may_rob(brg__team_at(team, i), root))
            return brg__team_at(team, i);
    return NULL;
}

bool brg__team_could_take(brg__team *team, const brg__forks *root) { return team_find(team, root) != NULL; }

/* Marsaglia, Xorshift RNGs (2003). */
static uint32_t team_random(brg__forks *forks)
{
    uint32_t x = forks->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return forks->random = x;
}

brg_fork *brg__team_take(brg__team *team, brg__forks *self, const brg__forks *root, brg__forks **victim)
{
    uint32_t count = team_count(team);
    if (count == 0)
        return NULL;
    uint32_t start = team_random(self) % count;
    for (uint32_t i = 0; i < count; i++) {
        brg__forks *one = brg__team_at(team, start + i < count ? start + i : start + i - count);
        if (one == self || !team_may_rob(one, root))
            continue;
        brg_fork *fork = brg__deque_steal(&one->deque);
        if (fork != NULL) {
            *victim = one;
            return fork;
        }
    }
    return NULL;
}

bool brg__team_has_forks(brg__team *team) { return team_count(team) != 0 && brg__team_could_take(team, NULL); }

static void team_settle(void)
{
    brg_fence_seq_cst();
    for (uint32_t i = 0; i < TEAM_SETTLE_PAUSES; i++)
        brg__cpu_pause();
}

bool brg__team_has_forks_at_last(brg__team *team)
{
    brg__team_woke(team);
    if (team_count(team) == 0)
        return false;
    team_settle();
    return brg__team_could_take(team, NULL);
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

/* One that waits in a join of the task of `root`. */
static bool team_wake_waiting(brg__team *team, brg__forks *root)
{
    brg__lock_acquire(&team->lock);
    brg__node *node = brg__list_pop_front(&root->waiting);
    brg__forks *forks = node == NULL ? NULL : brg__container_of(node, brg__forks, waiting_node);
    if (forks != NULL)
        brg_store_relaxed(&root->xwaiting, root->xwaiting - 1);
    brg__lock_release(&team->lock);
    if (forks != NULL)
        brg__gate_wake(&forks->gate, BRG__FUTEX_PRIVATE);
    return forks != NULL;
}

void brg__team_call_help(brg__team *team, brg__forks *root)
{
    if (brg_load_relaxed(&team->xwaking) != 0 || brg_load_relaxed(&team->xsearching) != 0 ||
        brg_load_relaxed(&root->xlooking) != 0 || brg_exchange_acquire(&team->xwaking, 1u) != 0)
        return;
    bool woken = brg_load_relaxed(&team->xidle) != 0 && team->hooks->wake(team->owner);
    if (!woken && brg_load_relaxed(&root->xwaiting) != 0)
        woken = team_wake_waiting(team, root);
    if (!woken) /* else that one does it */
        brg__team_woke(team);
}

void brg__team_pass_on(brg__team *team, const brg__forks *root)
{
    if (brg_load_relaxed(&team->xidle) == 0 && (root == NULL || brg_load_relaxed(&root->xwaiting) == 0))
        return;
    const brg__forks *victim = team_find(team, root);
    if (victim != NULL)
        brg__team_call_help(team, brg_load_relaxed(&victim->xroot));
}

void brg__team_sleep(brg__forks *forks, bool (*ready)(void *argument), void *argument)
{
    brg__team *team = forks->team;
    brg__forks *root = brg_load_relaxed(&forks->xroot);
    brg__gate_prepare(&forks->gate);
    brg__lock_acquire(&team->lock);
    brg__list_push_front(&root->waiting, &forks->waiting_node);
    brg_store_relaxed(&root->xwaiting, root->xwaiting + 1);
    brg__lock_release(&team->lock);
    team_settle();
    if (ready(argument)) {
        brg__gate_cancel(&forks->gate);
    } else {
        brg_context *context = forks->context;
        brg__context_idle_begin(context);
        brg__usage_beat_held(context->usage, true); /* the task lives as long as its forks do */
        brg__gate_wait(&forks->gate, UINT64_MAX, BRG__FUTEX_PRIVATE);
        brg__usage_beat_held(context->usage, false);
        brg__context_idle_end(context);
    }
    brg__lock_acquire(&team->lock);
    if (brg__node_is_linked(&forks->waiting_node)) {
        brg__list_remove(&forks->waiting_node);
        brg_store_relaxed(&root->xwaiting, root->xwaiting - 1);
    }
    brg__lock_release(&team->lock);
    brg__team_woke(team);
}
