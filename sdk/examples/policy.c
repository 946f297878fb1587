/*
 * A policy in C: the active site stays active while at least one arbiter answers ping, a standby never moves.
 *
 *   cc -std=c99 -Wall -Wextra -shared -fPIC -I../include policy.c -o policy.so
 */
#include "drw_policy.h"

#include <stdlib.h>
#include <string.h>

static const drw_host *host;

static drw_bytes bytes(const char *text)
{
    drw_bytes view;
    view.ptr = (const uint8_t *)text;
    view.len = strlen(text);
    return view;
}

/* Room for the answer of one host call; a longer answer is refused, not cut. */
struct answer {
    char text[65536];
    size_t len;
};

static int32_t keep(void *owner, int32_t kind, drw_bytes answer)
{
    struct answer *room = owner;
    (void)kind;
    if (answer.len >= sizeof room->text)
        return DRW_BAD_ARGUMENT;
    if (answer.len > 0)
        memcpy(room->text, answer.ptr, answer.len);
    room->text[answer.len] = '\0';
    room->len = answer.len;
    return DRW_OK;
}

static int contains(drw_bytes json, const char *text)
{
    size_t len = strlen(text), at;
    for (at = 0; at + len <= json.len; at++)
        if (memcmp(json.ptr + at, text, len) == 0)
            return 1;
    return 0;
}

static int32_t describe(const drw_sink *sink)
{
    return host->emit(sink, DRW_RESULT,
                      bytes("{\"name\":\"one-ping\",\"version\":\"1.0.0\","
                            "\"configSchema\":{\"type\":\"object\",\"additionalProperties\":false},"
                            "\"detailsSchema\":null,\"capabilities\":[],\"deadlineMs\":1000}"));
}

static drw_instance *create(drw_bytes config_json, const drw_sink *sink)
{
    void *instance;
    (void)config_json;
    instance = malloc(1);
    if (instance == NULL)
        host->emit(sink, DRW_ERROR_OBJECT, bytes("{\"code\":\"error\",\"message\":\"out of memory\"}"));
    return instance;
}

static int32_t evaluate(drw_instance *instance, const drw_call *call, const drw_sink *sink)
{
    struct answer answer;
    drw_sink mine = { sizeof mine, 0, NULL, keep };
    int32_t status;
    (void)instance;
    if (!contains(call->context_json, "\"role\":\"active\""))
        return host->emit(sink, DRW_RESULT,
                          bytes("{\"state\":\"standby\",\"action\":\"nothing\","
                                "\"description\":\"a standby never moves by itself here\","
                                "\"payload\":{\"waitTime\":\"\"}}"));
    mine.owner = &answer;
    answer.len = 0;
    status = host->call(call->ctx, bytes("arbiters.ping"), bytes("{}"), &mine);
    if (status != DRW_OK) {
        /* The host's error object is the plugin's error object. */
        host->emit(sink, DRW_ERROR_OBJECT, bytes(answer.len > 0 ? answer.text : "{}"));
        return status;
    }
    if (strstr(answer.text, "\"reachable\":0,") != NULL)
        return host->emit(sink, DRW_RESULT,
                          bytes("{\"state\":\"active\",\"action\":\"beStandby\","
                                "\"description\":\"no arbiter answers ping\",\"payload\":{\"waitTime\":\"\"}}"));
    return host->emit(sink, DRW_RESULT,
                      bytes("{\"state\":\"active\",\"action\":\"nothing\","
                            "\"description\":\"an arbiter answers ping\",\"payload\":{\"waitTime\":\"\"}}"));
}

static void cancel(drw_instance *instance)
{
    (void)instance; /* nothing here waits by itself: host calls end by themselves when the host cancels */
}

static void destroy(drw_instance *instance)
{
    free(instance);
}

const drw_manifest drw_plugin_manifest = {
    DRW_MAGIC_BYTES,
    sizeof(drw_manifest),
    DRW_ABI_MAJOR,
    0,
    0,
    DRW_TEXT("one-ping"),
    DRW_TEXT("1.0.0"),
    DRW_TEXT("Example Ltd"),
    DRW_TEXT("support@example.com"),
    DRW_TEXT("Apache-2.0"),
    DRW_TEXT(""),
    DRW_TEXT(""),
};

int32_t drw_plugin_open(const drw_host *table, drw_plugin *plugin)
{
    if (plugin->size < sizeof *plugin || !DRW_HAS(table, emit))
        return DRW_UNSUPPORTED;
    host = table;
    plugin->size = sizeof *plugin;
    plugin->describe = describe;
    plugin->create = create;
    plugin->evaluate = evaluate;
    plugin->cancel = cancel;
    plugin->destroy = destroy;
    return DRW_OK;
}
