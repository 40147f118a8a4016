/*
 * abi.c: structs by their size, and the version that runs.
 */
#include "abi.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

#define TEXT_OF(number) #number
#define TEXT(macro)     TEXT_OF(macro)

const char *counter_version(void)
{
    return TEXT(COUNTER_VERSION_MAJOR) "." TEXT(COUNTER_VERSION_MINOR) "." TEXT(COUNTER_VERSION_PATCH);
}

static size_t size_of(const void *given)
{
    size_t size;

    memcpy(&size, given, sizeof size);
    return size;
}

/* All structs hold something besides size, and alignment makes their sizes multiples of size_t's. */
static bool is_possible(size_t size)
{
    return size > sizeof(size_t) && size <= ABI_MAX && size % sizeof(size_t) == 0;
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int abi_copy(void *known, size_t known_size, const void *given, const char *what)
{
    if (!given)
        return error_set(COUNTER_EINVAL, "%s: the pointer is NULL", what);

    size_t size = size_of(given);
    if (!is_possible(size))
        return error_set(COUNTER_EINVAL, "%s: .size is %zu; set it to sizeof (%s), %zu in this version", what, size,
                         what, known_size);
    if (size > known_size && !is_zero((const unsigned char *)given + known_size, size - known_size))
        return error_set(COUNTER_EINVAL,
                         "%s: the caller's has %zu bytes and uses members that libcounter %s, which knows %zu, lacks",
                         what, size, counter_version(), known_size);

    size_t common = size < known_size ? size : known_size;
    memcpy(known, given, common);
    memset((unsigned char *)known + common, 0, known_size - common);
    return 0;
}

void abi_give(void *given, const void *known, size_t known_size)
{
    size_t size = size_of(given), common = size < known_size ? size : known_size;

    memcpy((unsigned char *)given + sizeof size, (const unsigned char *)known + sizeof size, common - sizeof size);
}
