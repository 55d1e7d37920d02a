/* SPDX-License-Identifier: MIT */
/* A flat map in one call. */
#include "message/builder.h"

static void fields_add(brg_builder *builder, const brg_field *field)
{
    brg_builder_key(builder, field->key);
    switch (field->type) {
    case BRG_TYPE_BOOL:
        brg_builder_bool(builder, field->as.boolean);
        break;
    case BRG_TYPE_INT:
        brg_builder_int(builder, field->as.integer);
        break;
    case BRG_TYPE_DOUBLE:
        brg_builder_double(builder, field->as.number);
        break;
    case BRG_TYPE_STRING:
        if (field->as.string == NULL)
            brg_builder_nil(builder);
        else
            brg_builder_string(builder, field->as.string);
        break;
    case BRG_TYPE_NONE:
        brg_builder_view(builder, field->as.view);
        break;
    default:
        brg__builder_fail(builder, BRG_INVALID, "field \"%s\" has the type %s; make fields with brg_field_...",
                          field->key, brg_type_name(field->type));
        break;
    }
}

brg_status brg_value_from_fields(brg_value **out, const brg_field *fields, size_t field_count, brg_error *error)
{
    brg_builder builder;
    brg__builder_init(&builder);
    brg_builder_map(&builder);
    for (size_t i = 0; i < field_count; i++)
        fields_add(&builder, &fields[i]);
    brg_builder_end(&builder);
    brg_status status = brg_builder_finish(&builder, out, error);
    brg__builder_done(&builder);
    return status;
}
