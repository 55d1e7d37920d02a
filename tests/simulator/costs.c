/* SPDX-License-Identifier: MIT */
#include "costs.h"

#include <stddef.h>
#include <string.h>

#include "base/util.h"

#define COSTS_LINE_MAX 256

typedef struct costs_field {
    const char *name;
    size_t offset;
} costs_field;

static const costs_field costs_fields[] = {
#define COSTS_FIELD(name_) {#name_, offsetof(sim_costs, name_)},
    SIM_COSTS(COSTS_FIELD)
#undef COSTS_FIELD
};

static double *costs_at(sim_costs *costs, const costs_field *field)
{
    return (double *)(void *)((char *)costs + field->offset);
}

static const costs_field *costs_find(const char *name)
{
    for (size_t i = 0; i < brg__count_of(costs_fields); i++)
        if (strcmp(costs_fields[i].name, name) == 0)
            return &costs_fields[i];
    return NULL;
}

bool sim_costs_read(sim_costs *costs, const char *path)
{
    bool seen[brg__count_of(costs_fields)] = {false};
    char line[COSTS_LINE_MAX], key[64];
    double value;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "simulate: cannot read %s\n", path);
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (line[0] == '#' || sscanf(line, "%63s %lf", key, &value) != 2)
            continue;
        const costs_field *field = costs_find(key);
        if (field == NULL)
            continue;
        *costs_at(costs, field) = value;
        seen[field - costs_fields] = true;
    }
    fclose(file);
    for (size_t i = 0; i < brg__count_of(costs_fields); i++) {
        if (!seen[i]) {
            fprintf(stderr, "simulate: %s has no line \"%s\"\n", path, costs_fields[i].name);
            return false;
        }
    }
    return true;
}

void sim_costs_write(const sim_costs *costs, FILE *file)
{
    sim_costs copy = *costs;
    for (size_t i = 0; i < brg__count_of(costs_fields); i++)
        fprintf(file, "%s %.4g\n", costs_fields[i].name, *costs_at(&copy, &costs_fields[i]));
}

double sim_costs_of(const sim_costs *costs, const char *name, const char *suffix)
{
    char key[64];
    sim_costs copy = *costs;
    snprintf(key, sizeof(key), "%s%s", name, suffix);
    const costs_field *field = costs_find(key);
    return field == NULL ? 0 : *costs_at(&copy, field);
}
