/* SPDX-License-Identifier: MIT */
/*
 * The filter's little language, by recursive descent:
 *     or:      and ("||" and)*
 *     and:     not ("&&" not)*
 *     not:     "!" not | "(" or ")" | COLUMN OPERATOR LITERAL
 *     COLUMN:  letters, digits, _ and .; or $N by number; or anything between backquotes
 *     LITERAL: a number, or text between " or '
 */
#include <stdlib.h>
#include <string.h>

#include "analyze.h"
#include "number.h"

typedef struct where_parser {
    analyze_plan *plan;
    const analyze_header *header;
    const char *text, *at;
    int depth;
} where_parser;

static bool where_wrong(const where_parser *parser, const char *what)
{
    return cli_complain("analyze", "--where: %s at \"%s\", character %d of '%s'", what, parser->at,
                        (int)(parser->at - parser->text) + 1, parser->text);
}

static void where_space(where_parser *parser) { parser->at += strspn(parser->at, " \t\n"); }

static bool where_take(where_parser *parser, const char *token)
{
    where_space(parser);
    size_t size = strlen(token);
    if (strncmp(parser->at, token, size) != 0)
        return false;
    parser->at += size;
    return true;
}

static bool where_add(where_parser *parser, analyze_node node, uint32_t *out)
{
    if (parser->plan->node_count == ANALYZE_NODES_MAX)
        return where_wrong(parser, "the filter is too long");
    *out = parser->plan->node_count;
    parser->plan->nodes[parser->plan->node_count++] = node;
    return true;
}

static bool where_is_name(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == '.' || (byte & 0x80) != 0;
}

static bool where_column(where_parser *parser, uint32_t *slot)
{
    where_space(parser);
    const char *name = parser->at;
    size_t size = 0;
    if (*name == '`') {
        size = strcspn(++name, "`");
        if (name[size] == '\0')
            return where_wrong(parser, "a ` is not closed");
        parser->at = name + size + 1;
    } else {
        size = *name == '$' ? 1 : 0;
        while (where_is_name(name[size]))
            size++;
        if (size == 0 || (*name >= '0' && *name <= '9'))
            return where_wrong(parser, "a column is missing (in `backquotes` where its name is unusual)");
        parser->at = name + size;
    }
    *slot = analyze_slot_of(parser->plan, parser->header, "where", name, (uint32_t)size);
    return *slot != UINT32_MAX;
}

static bool where_literal(where_parser *parser, analyze_node *node)
{
    where_space(parser);
    char quote = *parser->at;
    if (quote == '"' || quote == '\'') {
        const char *text = parser->at + 1, *end = strchr(text, quote);
        if (end == NULL)
            return where_wrong(parser, "a quote is not closed");
        node->text = strndup(text, (size_t)(end - text));
        node->text_size = (uint32_t)(end - text);
        parser->at = end + 1;
    } else {
        size_t size = strspn(parser->at, "0123456789+-.eE");
        if (!analyze_number(parser->at, size, &node->number))
            return where_wrong(parser, "a number, or a text in quotes, is missing");
        node->numeric = true;
        node->text = strndup(parser->at, size);
        node->text_size = (uint32_t)size;
        parser->at += size;
    }
    return node->text != NULL || cli_complain_memory("analyze", "--where");
}

static bool where_compare(where_parser *parser, uint32_t *out)
{
    static const struct {
        const char *token;
        analyze_operator relation;
    } operators[] = {{"==", ANALYZE_EQUAL},         {"!=", ANALYZE_UNEQUAL}, {"<=", ANALYZE_LESS_EQUAL},
                     {">=", ANALYZE_GREATER_EQUAL}, {"<", ANALYZE_LESS},     {">", ANALYZE_GREATER},
                     {"=", ANALYZE_EQUAL},          {"~", ANALYZE_CONTAINS}};
    analyze_node node = {.kind = ANALYZE_COMPARE};
    if (!where_column(parser, &node.slot))
        return false;
    size_t i = 0, count = sizeof(operators) / sizeof(operators[0]);
    while (i < count && !where_take(parser, operators[i].token))
        i++;
    if (i == count)
        return where_wrong(parser, "==, !=, <, <=, >, >= or ~ is missing");
    node.relation = operators[i].relation;
    if (!where_literal(parser, &node))
        return false;
    if (node.relation == ANALYZE_CONTAINS)
        node.numeric = false;
    if (where_add(parser, node, out))
        return true;
    free(node.text);
    return false;
}

static bool where_or(where_parser *parser, uint32_t *out);

static bool where_not(where_parser *parser, uint32_t *out)
{
    bool good;
    if (++parser->depth > ANALYZE_DEPTH_MAX)
        return where_wrong(parser, "it is nested too deep");
    if (where_take(parser, "!")) {
        analyze_node node = {.kind = ANALYZE_NOT};
        good = where_not(parser, &node.left) && where_add(parser, node, out);
    } else if (where_take(parser, "(")) {
        good = where_or(parser, out) && (where_take(parser, ")") || where_wrong(parser, "a ) is missing"));
    } else {
        good = where_compare(parser, out);
    }
    parser->depth--;
    return good;
}

static bool where_and(where_parser *parser, uint32_t *out)
{
    if (!where_not(parser, out))
        return false;
    while (where_take(parser, "&&")) {
        analyze_node node = {.kind = ANALYZE_AND, .left = *out};
        if (!where_not(parser, &node.right) || !where_add(parser, node, out))
            return false;
    }
    return true;
}

static bool where_or(where_parser *parser, uint32_t *out)
{
    if (!where_and(parser, out))
        return false;
    while (where_take(parser, "||")) {
        analyze_node node = {.kind = ANALYZE_OR, .left = *out};
        if (!where_and(parser, &node.right) || !where_add(parser, node, out))
            return false;
    }
    return true;
}

bool analyze_parse_where(analyze_plan *plan, const analyze_header *header, const char *text, uint32_t *root)
{
    where_parser parser = {.plan = plan, .header = header, .text = text, .at = text};
    if (!where_or(&parser, root))
        return false;
    where_space(&parser);
    return *parser.at == '\0' || where_wrong(&parser, "&& or || is missing");
}
