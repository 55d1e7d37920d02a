/* SPDX-License-Identifier: MIT */
/* Commands about a worker inside the worker. */
#include "module.h"

#include <unistd.h>

/* A worker of "isolation" on "module"; says its id. Its init data is "init". */
static brg_status nested_start(conf_call *call)
{
    brg_error error = {0};
    brg_value *init = brg_view_type(call_get(call, "init")) == BRG_TYPE_NONE ? NULL
                                                                             : party_copy(call_get(call, "init"));
    brg_status status = brg_worker_create(&call->party->inner,
                                          brg_worker_opts(.module = call_string(call, "module"),
                                                          .isolation = (brg_isolation)call_int(call, "isolation", 0),
                                                          .start_timeout_ns = call_timeout(call),
                                                          .grace_ns = call_timeout(call), .init_data = init),
                                          &error);
    if (status != BRG_OK) {
        brg_value_unref(init);
        call_add_string(call, "why", error.message);
        return status;
    }
    status = brg_worker_wait_online(call->party->inner, call_timeout(call), NULL);
    call_add_int(call, "id", (int64_t)brg_worker_id(call->party->inner));
    call_add_int(call, "pid", brg_worker_process_id(call->party->inner));
    return status;
}

/* Posts "request" to it and waits for its answer. */
static brg_status nested_ask(conf_call *call)
{
    brg_value *request = party_copy(call_get(call, "request")), *answer = NULL;
    brg_status status = brg_worker_post(call->party->inner, request, call_timeout(call), NULL);
    if (status != BRG_OK) {
        brg_value_unref(request);
        return status;
    }
    status = brg_worker_receive(call->party->inner, &answer, call_timeout(call));
    if (status == BRG_OK)
        call_add_view(call, "answer", brg_value_root(answer));
    brg_value_unref(answer);
    return status;
}

/* Gives it the port of "slot", for its slot 0. */
static brg_status nested_give_port(conf_call *call)
{
    brg_builder *builder = NULL;
    brg_value *message = NULL;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "do");
    brg_builder_string(builder, "port_keep");
    brg_builder_key(builder, "port");
    brg_builder_port(builder, &call->party->ports[call_slot(call, "slot")]);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &message, NULL);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_worker_post(call->party->inner, message, call_timeout(call), NULL)) != BRG_OK)
        brg_value_unref(message);
    brg_value *answer = NULL;
    if (status == BRG_OK && (status = brg_worker_receive(call->party->inner, &answer, call_timeout(call))) == BRG_OK)
        status = (brg_status)brg_view_get_int(brg_value_root(answer), "status", BRG_FAILED);
    brg_value_unref(answer);
    return status;
}

/* Asks it to end and waits; says how it ended. */
static brg_status nested_end(conf_call *call)
{
    brg_exit end = {0};
    if (call_flag(call, "terminate"))
        brg_worker_terminate(call->party->inner);
    brg_status status = brg_worker_wait(call->party->inner, call_timeout(call), &end);
    call_add_int(call, "end", end.status);
    call_add_int(call, "code", end.exit_code);
    brg_worker_destroy(call->party->inner);
    call->party->inner = NULL;
    return status;
}

const conf_command party_nested_commands[] = {{"nest", nested_start},
                                              {"nest_ask", nested_ask},
                                              {"nest_give_port", nested_give_port},
                                              {"nest_end", nested_end},
                                              {NULL, NULL}};
