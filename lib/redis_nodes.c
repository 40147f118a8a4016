/* redis_nodes.c: a list that only grows; see redis_nodes.h. */
#include "redis_nodes.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

bool redis_nodes_same(const struct redis_host *a, const struct redis_host *b)
{
    return a->port == b->port && strcmp(a->name, b->name) == 0;
}

static void discard(struct redis_node *node)
{
    if (node)
        redis_node_close(node);
    free(node);
}

int redis_nodes_number(struct redis_nodes *nodes, const struct redis_host *host)
{
    char shown[REDIS_NAME + 8];
    struct redis_node *mine = NULL;

    for (int i = 0; i < REDIS_NODES; i++) {
        struct redis_node *there = atomic_load(&nodes->node[i]);
        if (!there && !mine) {
            mine = malloc(sizeof *mine);
            if (!mine)
                return error_set(COUNTER_ENOMEM, "%s: out of memory", redis_host_show(shown, host));
            redis_node_init(mine, host, nodes->login);
            mine->master = nodes->masters;
        }
        if (!there && atomic_compare_exchange_strong(&nodes->node[i], &there, mine))
            return i;
        if (redis_nodes_same(&there->host, host)) {
            discard(mine);
            return i;
        }
    }
    discard(mine);
    return error_set(COUNTER_ENOMEM, "%s: more than %d servers were named, this one is not used any more",
                     redis_host_show(shown, host), REDIS_NODES);
}

unsigned redis_nodes_count(struct redis_nodes *nodes)
{
    unsigned n = 0;

    while (n < REDIS_NODES && atomic_load(&nodes->node[n]))
        n++;
    return n;
}

void redis_nodes_close(struct redis_nodes *nodes)
{
    for (int i = 0; i < REDIS_NODES; i++) {
        discard(atomic_load(&nodes->node[i]));
        atomic_store(&nodes->node[i], NULL);
    }
}

redis_deadline redis_nodes_half(redis_deadline deadline)
{
    return redis_deadline_in((uint32_t)(redis_deadline_left(deadline) + 1) / 2);
}
