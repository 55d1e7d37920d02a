/* SPDX-License-Identifier: MIT */
/* Version, visibility and the options convention every other public header builds on. */
#ifndef BRIGADE_EXPORT_H
#define BRIGADE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BRG_VERSION_MAJOR 0
#define BRG_VERSION_MINOR 1
#define BRG_VERSION_PATCH 0
#define BRG_VERSION "0.1.0"

#if defined(__GNUC__)
#define BRG_API __attribute__((visibility("default")))
#define BRG_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#else
#define BRG_API
#define BRG_PRINTF(format_index, first_index)
#endif

/*
 * Durations are unsigned nanoseconds. BRG_FOREVER waits without a bound; where an option takes a
 * duration, zero means its documented default and BRG_FOREVER means "no limit".
 */
#define BRG_FOREVER UINT64_MAX
#define BRG_MICROSECONDS(count) ((uint64_t)(count)*1000u)
#define BRG_MILLISECONDS(count) ((uint64_t)(count)*1000000u)
#define BRG_SECONDS(count) ((uint64_t)(count)*1000000000u)

/*
 * Options are structs whose first field is their size. They only grow; zero means the default. The
 * brg_..._opts() macros fill the size in:
 *     brg_pool_create(&pool, brg_pool_opts(.workers_max = 8), &error);
 * A shorter struct from an older caller works; a longer one whose unknown tail is not zero is refused
 * with BRG_UNSUPPORTED. (C++ callers set .size themselves.)
 */
#define BRG_OPTIONS(type, ...) (&(type){.size = sizeof(type), __VA_ARGS__})

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that runs, as "major.minor.patch". Any thread. */
BRG_API const char *brg_version(void);

/* Releases memory that a function documented as "free with brg_free" returned. Accepts NULL. Any thread. */
BRG_API void brg_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
