/* SPDX-License-Identifier: MIT */
/* Cells as they are printed: as CSV, as JSON, in a table. */
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "analyze.h"

void analyze_put_csv(const char *text, uint32_t size, char delimiter)
{
    bool plain = true;
    for (uint32_t i = 0; i < size && plain; i++)
        plain = text[i] != delimiter && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (plain) {
        fwrite_unlocked(text, 1, size, stdout);
        return;
    }
    putchar_unlocked('"');
    for (uint32_t i = 0; i < size; i++) {
        if (text[i] == '"')
            putchar_unlocked('"');
        putchar_unlocked(text[i]);
    }
    putchar_unlocked('"');
}

/* Bytes of the UTF-8 character at `text`, or 0 where there is none (RFC 3629). */
static uint32_t text_utf8(const unsigned char *text, uint32_t left)
{
    uint32_t size = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;
    if (size == 0 || size > left)
        return 0;
    for (uint32_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
               (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f);
    return bad ? 0 : size;
}

/* JSON has to be UTF-8: other bytes become U+FFFD. */
void analyze_put_json(const char *text, uint32_t size)
{
    putchar_unlocked('"');
    for (uint32_t i = 0; i < size;) {
        uint32_t length = text_utf8((const unsigned char *)text + i, size - i);
        unsigned char byte = (unsigned char)text[i];
        if (length == 0)
            fputs_unlocked("\\ufffd", stdout);
        else if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte == '\n')
            fputs_unlocked("\\n", stdout);
        else if (byte < 0x20 || byte == 0x7f)
            printf("\\u%04x", byte);
        else
            fwrite_unlocked(text + i, 1, length, stdout);
        i += length == 0 ? 1 : length;
    }
    putchar_unlocked('"');
}

/* Characters, about: those of two columns count as one. Control characters are shown as \xNN. */
static size_t text_width(const analyze_cell *cell)
{
    size_t width = 0;
    for (uint32_t i = 0; i < cell->size; i++) {
        unsigned char byte = (unsigned char)cell->text[i];
        width += byte < 0x20 || byte == 0x7f ? 4 : (byte & 0xc0) != 0x80;
    }
    return width;
}

static void text_put_shown(const analyze_cell *cell)
{
    for (uint32_t i = 0; i < cell->size; i++) {
        unsigned char byte = (unsigned char)cell->text[i];
        if (byte < 0x20 || byte == 0x7f)
            printf("\\x%02x", byte);
        else
            putchar_unlocked(byte);
    }
}

static void text_pad(size_t count)
{
    while (count-- > 0)
        putchar_unlocked(' ');
}

bool analyze_put_table(const analyze_cell *cells, size_t rows, size_t columns)
{
    size_t *widths = calloc(columns + 1, sizeof(*widths));
    if (widths == NULL)
        return false;
    for (size_t i = 0; i < rows * columns; i++) {
        size_t width = text_width(&cells[i]);
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < rows * columns; i++) {
        size_t column = i % columns, fill = widths[column] - text_width(&cells[i]);
        bool right = cells[i].is_number || (i < columns && rows > 1 && cells[i + columns].is_number);
        bool last = column + 1 == columns;
        if (right)
            text_pad(fill);
        text_put_shown(&cells[i]);
        if (!right && !last)
            text_pad(fill);
        fputs_unlocked(last ? "\n" : "  ", stdout);
    }
    free(widths);
    return true;
}
