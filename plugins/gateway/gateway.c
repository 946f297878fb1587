/*
 * gateway: a policy in C for a site that can see its own way out.
 *
 * An active site none of whose gateways answers ping serves nobody: it stands down. A standby takes over only when its
 * own gateways answer, every arbiter could be logged in to, and the other site manages none of them. Everything else is
 * "nothing", with a sentence that says why.
 */
#include "drw_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest answer of a host call that is looked at; a longer one is refused, not cut. */
#define ANSWER_BYTES_MAX 262144
/* Longest list of gateways, as JSON. */
#define GATEWAYS_BYTES_MAX 2048
/* Longest verdict. */
#define VERDICT_BYTES_MAX 1024

static const drw_host *host;

struct drw_instance {
    char gateways[GATEWAYS_BYTES_MAX]; /* the list as it was configured: ["192.0.2.1"] */
    long least;                        /* gateways that must answer */
};

struct answer {
    size_t length;
    char text[ANSWER_BYTES_MAX];
};

static drw_bytes bytes(const char *text)
{
    drw_bytes view;
    view.ptr = (const uint8_t *)text;
    view.len = strlen(text);
    return view;
}

static int32_t keep(void *owner, int32_t kind, drw_bytes given)
{
    struct answer *answer = owner;
    (void)kind;
    if (given.len >= sizeof answer->text)
        return DRW_BAD_ARGUMENT;
    if (given.len > 0)
        memcpy(answer->text, given.ptr, given.len);
    answer->text[given.len] = '\0';
    answer->length = given.len;
    return DRW_OK;
}

static int32_t ask(const drw_call *call, const char *method, const char *request, struct answer *answer)
{
    drw_sink mine = { sizeof mine, 0, NULL, keep };
    mine.owner = answer;
    answer->length = 0;
    answer->text[0] = '\0';
    return host->call(call->ctx, bytes(method), bytes(request), &mine);
}

/* The whole number behind "key": in a JSON object; -1 where there is none. */
static long number(const char *json, const char *key)
{
    char quoted[64];
    const char *at;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(json, quoted);
    return at == NULL ? -1 : strtol(at + strlen(quoted), NULL, 10);
}

static long count(const char *json, const char *what)
{
    long found = 0;
    for (json = strstr(json, what); json != NULL; json = strstr(json + 1, what))
        found++;
    return found;
}

static int contains(drw_bytes json, const char *what)
{
    size_t length = strlen(what), at;
    for (at = 0; at + length <= json.len; at++)
        if (memcmp(json.ptr + at, what, length) == 0)
            return 1;
    return 0;
}

static int32_t refuse(const drw_sink *sink, const char *message)
{
    char object[VERDICT_BYTES_MAX];
    snprintf(object, sizeof object, "{\"code\":\"config\",\"message\":\"%s\",\"field\":\"gateways\"}", message);
    host->emit(sink, DRW_ERROR_OBJECT, bytes(object));
    return DRW_ERROR;
}

static int32_t say(const drw_sink *sink, int is_active, const char *action, const char *why, const char *counts)
{
    char verdict[VERDICT_BYTES_MAX];
    snprintf(verdict, sizeof verdict,
             "{\"state\":\"%s\",\"action\":\"%s\",\"description\":\"%s\","
             "\"payload\":{\"waitTime\":\"\",\"details\":{%s}}}",
             is_active ? "active" : "standby", action, why, counts);
    return host->emit(sink, DRW_RESULT, bytes(verdict));
}

/* The host's error object is ours. */
static int32_t pass_on(const drw_sink *sink, int32_t status, const struct answer *answer)
{
    host->emit(sink, DRW_ERROR_OBJECT, bytes(answer->length > 0 ? answer->text : "{}"));
    return status;
}

static int32_t describe(const drw_sink *sink)
{
    return host->emit(
        sink, DRW_RESULT,
        bytes("{\"configSchema\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"gateways\"],"
              "\"properties\":{\"gateways\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
              "\"description\":\"addresses of this site's gateways\"},"
              "\"least\":{\"type\":\"integer\",\"minimum\":1,\"description\":\"how many must answer; default 1\"}}},"
              "\"detailsSchema\":{\"type\":\"object\"},\"capabilities\":[\"ping\"],\"deadlineMs\":5000}"));
}

static drw_instance *create(drw_bytes config_json, const drw_sink *sink)
{
    struct drw_instance *instance = NULL;
    char *config = malloc(config_json.len + 1);
    const char *begin, *end;
    if (config == NULL || (instance = calloc(1, sizeof *instance)) == NULL) {
        free(config);
        refuse(sink, "out of memory");
        return NULL;
    }
    if (config_json.len > 0)
        memcpy(config, config_json.ptr, config_json.len);
    config[config_json.len] = '\0';
    instance->least = number(config, "least");
    if (instance->least < 1)
        instance->least = 1;
    begin = strchr(config, '[');
    end = begin == NULL ? NULL : strchr(begin, ']');
    if (end == NULL || count(config, "\"") < 4 || (size_t)(end - begin) + 2 > sizeof instance->gateways) {
        free(instance);
        free(config);
        refuse(sink, "name at least one gateway, in at most 2000 letters");
        return NULL;
    }
    memcpy(instance->gateways, begin, (size_t)(end - begin) + 1);
    free(config);
    return instance;
}

static int32_t evaluate(drw_instance *instance, const drw_call *call, const drw_sink *sink)
{
    struct answer *answer = malloc(sizeof *answer);
    char request[GATEWAYS_BYTES_MAX + 64], counts[128];
    long answering, total, reachable, managed;
    int is_active, is_lost;
    int32_t status;
    if (answer == NULL)
        return refuse(sink, "out of memory");
    is_active = contains(call->context_json, "\"role\":\"active\"");
    is_lost = contains(call->context_json, "\"situation\":\"peerLost\"");
    snprintf(request, sizeof request, "{\"hosts\":%s,\"timeoutMs\":1000,\"retries\":1}", instance->gateways);
    status = ask(call, "ping", request, answer);
    if (status != DRW_OK)
        goto failed;
    answering = count(answer->text, "\"ping\":true");
    snprintf(counts, sizeof counts, "\"gateways\":%ld", answering);
    if (is_active) {
        status = answering == 0
                     ? say(sink, 1, "beStandby", "none of this site's gateways answers: it serves nobody", counts)
                     : say(sink, 1, "nothing", "a gateway of this site answers: it goes on", counts);
        goto done;
    }
    status = ask(call, "arbiters.sessions", "{}", answer);
    if (status != DRW_OK)
        goto failed;
    total = number(answer->text, "total");
    reachable = number(answer->text, "reachable");
    managed = number(answer->text, "managed");
    snprintf(counts, sizeof counts, "\"gateways\":%ld,\"total\":%ld,\"reachable\":%ld,\"managed\":%ld", answering,
             total, reachable, managed);
    if (!is_lost)
        status = say(sink, 0, "nothing", "nobody serves: an operator decides which site does", counts);
    else if (answering < instance->least)
        status = say(sink, 0, "nothing", "too few of this site's gateways answer: it could serve nobody", counts);
    else if (total < 1 || reachable != total)
        status = say(sink, 0, "nothing", "not every arbiter could be logged in to: one of them may know more", counts);
    else if (managed != 0)
        status = say(sink, 0, "nothing", "the other site manages arbiters, so it serves", counts);
    else
        status = say(sink, 0, "beActive", "every arbiter was asked, and the other site manages none of them", counts);
done:
    free(answer);
    return status;
failed:
    status = pass_on(sink, status, answer);
    free(answer);
    return status;
}

static void cancel(drw_instance *instance)
{
    (void)instance; /* it waits in host calls only, and the host ends those */
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
    DRW_TEXT("gateway"),
    DRW_TEXT("1.0.0"),
    DRW_TEXT("dr-watchdog"),
    DRW_TEXT("the documentation of dr-watchdog"),
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
