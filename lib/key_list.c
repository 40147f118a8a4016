/* key_list.c: see key_list.h. */
#include "key_list.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

/* Two words, since another thread may read them while they are wiped. */
struct key_item {
    struct key_item *next;
    int64_t start;
    _Atomic uint64_t word[2];
    _Atomic(bool) gone;
};

bool key_list_find(const struct key_list *list, int64_t start, struct identity_key *out)
{
    struct key_item *item = atomic_load_explicit(&list->head, memory_order_acquire);

    while (item && (item->start != start || atomic_load(&item->gone)))
        item = item->next;
    if (!item)
        return false;
    uint64_t word[2] = {atomic_load(&item->word[0]), atomic_load(&item->word[1])};
    memcpy(out->byte, word, sizeof out->byte);
    return !atomic_load(&item->gone); /* asked last: a wiped key is no key */
}

int key_list_add(struct key_list *list, int64_t start, struct identity_key *key)
{
    struct key_item *made = calloc(1, sizeof *made), *head = atomic_load(&list->head);
    uint64_t word[2];

    if (!made)
        return error_set(COUNTER_ENOMEM, "no memory for a key");
    memcpy(word, key->byte, sizeof word);
    made->start = start;
    atomic_init(&made->word[0], word[0]);
    atomic_init(&made->word[1], word[1]);
    do {
        if (key_list_find(list, start, key)) {
            explicit_bzero(made, sizeof *made);
            free(made);
            return 0;
        }
        made->next = head;
    } while (!atomic_compare_exchange_weak(&list->head, &head, made));
    return 0;
}

static void wipe(struct key_item *item)
{
    atomic_store(&item->word[0], 0);
    atomic_store(&item->word[1], 0);
}

void key_list_wipe(struct key_list *list, int64_t start)
{
    for (struct key_item *item = atomic_load(&list->head); item; item = item->next)
        if (item->start < start && !atomic_exchange(&item->gone, true))
            wipe(item);
}

void key_list_free(struct key_list *list)
{
    for (struct key_item *item = atomic_load(&list->head), *next; item; item = next) {
        next = item->next;
        wipe(item);
        free(item);
    }
}
