/* SPDX-License-Identifier: MIT */
/*
 * A table of the loaded modules, each with its dynamic symbol table. Symbols come only from .dynsym (what a module
 * exports), and a name is given only where the symbol's size covers the address: a wrong name is worse than none.
 * A module that is unloaded later leaves a stale entry; reading it could fault, which ends the process as it would
 * have ended anyway, with the lines that were written before.
 */
#define _GNU_SOURCE 1
#include "os/crash_modules.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "base/util.h"
#include "os/crash.h"

#define MODULES_MAX 256
#define MODULES_SYMBOL_MAX 64 /* bytes of a name that are shown */

#if UINTPTR_MAX > 0xffffffffu
typedef Elf64_Sym modules_sym;
typedef Elf64_Dyn modules_dyn;
typedef Elf64_Phdr modules_phdr;
#else
typedef Elf32_Sym modules_sym;
typedef Elf32_Dyn modules_dyn;
typedef Elf32_Phdr modules_phdr;
#endif

typedef struct modules_entry {
    uintptr_t base, start, end;
    const modules_sym *symbols;
    const char *strings;
    size_t symbol_count, strings_size;
    char name[40];
} modules_entry;

static modules_entry modules_table[MODULES_MAX];
static size_t modules_count;

static bool modules_contains(const modules_entry *entry, const void *address, size_t size)
{
    uintptr_t at = (uintptr_t)address;
    return at >= entry->start && at <= entry->end && size <= entry->end - at;
}

/* glibc relocates these entries in place, but not those of the vDSO. */
static const void *modules_pointer(const modules_entry *entry, uintptr_t address)
{
    return (const void *)(address < entry->base ? address + entry->base : address);
}

/* How many symbols a GNU hash table covers: one past the end of the last chain. */
static size_t modules_count_gnu(const modules_entry *entry, const uint32_t *hash)
{
    if (!modules_contains(entry, hash, 16))
        return 0;
    uint32_t bucket_count = hash[0], first = hash[1], bloom_count = hash[2], last = 0;
    const uint32_t *buckets = hash + 4 + (size_t)bloom_count * (sizeof(uintptr_t) / 4);
    const uint32_t *chains = buckets + bucket_count;
    if (!modules_contains(entry, buckets, (size_t)bucket_count * 4))
        return 0;
    for (uint32_t i = 0; i < bucket_count; i++)
        last = (uint32_t)brg__max(last, buckets[i]);
    if (last < first)
        return first;
    while (modules_contains(entry, chains + (last - first), 4) && (chains[last - first] & 1) == 0)
        last++;
    return (size_t)last + 1;
}

static void modules_read_dynamic(modules_entry *entry, const modules_dyn *dynamic)
{
    const uint32_t *gnu_hash = NULL, *hash = NULL;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        if (dynamic->d_tag == DT_SYMTAB)
            entry->symbols = modules_pointer(entry, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_STRTAB)
            entry->strings = modules_pointer(entry, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_STRSZ)
            entry->strings_size = dynamic->d_un.d_val;
        else if (dynamic->d_tag == DT_GNU_HASH)
            gnu_hash = modules_pointer(entry, dynamic->d_un.d_ptr);
        else if (dynamic->d_tag == DT_HASH)
            hash = modules_pointer(entry, dynamic->d_un.d_ptr);
    }
    if (hash != NULL && modules_contains(entry, hash, 8))
        entry->symbol_count = hash[1];
    else if (gnu_hash != NULL)
        entry->symbol_count = modules_count_gnu(entry, gnu_hash);
    if (entry->symbols == NULL || entry->strings == NULL ||
        !modules_contains(entry, entry->symbols, entry->symbol_count * sizeof(modules_sym)) ||
        !modules_contains(entry, entry->strings, entry->strings_size))
        entry->symbol_count = 0;
}

static void modules_set_name(modules_entry *entry, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    if (name[0] == '\0')
        name = program_invocation_short_name; /* the loader has no name for the main program */
    size_t length = (size_t)brg__min(strlen(name), sizeof(entry->name) - 1);
    memcpy(entry->name, name, length);
    entry->name[length] = '\0';
}

static int modules_add(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    (void)data;
    if (modules_count == MODULES_MAX)
        return 1;
    modules_entry entry = {.base = info->dlpi_addr, .start = UINTPTR_MAX};
    const modules_dyn *dynamic = NULL;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const modules_phdr *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD) {
            entry.start = (uintptr_t)brg__min(entry.start, start);
            entry.end = (uintptr_t)brg__max(entry.end, start + header->p_memsz);
        } else if (header->p_type == PT_DYNAMIC) {
            dynamic = (const modules_dyn *)start;
        }
    }
    if (entry.start >= entry.end)
        return 0;
    modules_set_name(&entry, info->dlpi_name == NULL ? "" : info->dlpi_name);
    if (dynamic != NULL)
        modules_read_dynamic(&entry, dynamic);
    modules_table[modules_count++] = entry;
    return 0;
}

void brg__crash_refresh(void)
{
    modules_count = 0;
    dl_iterate_phdr(modules_add, NULL);
}

static const modules_entry *modules_find(uintptr_t pc)
{
    for (size_t i = 0; i < modules_count; i++)
        if (pc >= modules_table[i].start && pc < modules_table[i].end)
            return &modules_table[i];
    return NULL;
}

static const modules_sym *modules_symbol(const modules_entry *entry, uintptr_t pc)
{
    for (size_t i = 0; i < entry->symbol_count; i++) {
        const modules_sym *symbol = &entry->symbols[i];
        if (symbol->st_shndx != SHN_UNDEF && symbol->st_name < entry->strings_size &&
            pc - entry->base - symbol->st_value < symbol->st_size)
            return symbol;
    }
    return NULL;
}

/* A line being made: text that no longer fits is left away. */
typedef struct modules_line {
    char *text;
    size_t size, length;
} modules_line;

static void modules_put(modules_line *line, const char *text, size_t most)
{
    for (size_t i = 0; i < most && text[i] != '\0' && line->length < line->size; i++)
        line->text[line->length++] = text[i];
}

static void modules_put_offset(modules_line *line, uintptr_t number)
{
    char digits[2 * sizeof(number)];
    size_t count = 0;
    do
        digits[sizeof(digits) - ++count] = "0123456789abcdef"[number & 15];
    while ((number >>= 4) != 0);
    modules_put(line, "0x", 2);
    modules_put(line, digits + sizeof(digits) - count, count);
}

size_t brg__crash_decimal(uint64_t number, char *out)
{
    char digits[20];
    size_t count = 0;
    do
        digits[sizeof(digits) - ++count] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    memcpy(out, digits + sizeof(digits) - count, count);
    return count;
}

size_t brg__crash_describe(uintptr_t pc, bool is_call, char *line, size_t size)
{
    modules_line made = {.text = line, .size = size - 1};
    uintptr_t inside = is_call && pc > 0 ? pc - 1 : pc;
    const modules_entry *entry = modules_find(inside);
    if (entry == NULL) {
        modules_put_offset(&made, pc);
    } else {
        modules_put(&made, entry->name, sizeof(entry->name));
        modules_put(&made, "+", 1);
        modules_put_offset(&made, pc - entry->base);
        const modules_sym *symbol = modules_symbol(entry, inside);
        if (symbol != NULL) {
            modules_put(&made, " (", 2);
            modules_put(&made, entry->strings + symbol->st_name, MODULES_SYMBOL_MAX);
            modules_put(&made, "+", 1);
            modules_put_offset(&made, pc - entry->base - symbol->st_value);
            modules_put(&made, ")", 1);
        }
    }
    line[made.length++] = '\n';
    return made.length;
}
