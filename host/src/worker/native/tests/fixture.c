/* A plugin that misbehaves as its configuration says ("do") or as it was compiled (-D…). */
#include "drw_policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAGIC
#define MAGIC DRW_MAGIC_BYTES
#endif
#ifndef MAJOR
#define MAJOR DRW_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR 0
#endif
#ifndef MANIFEST_SIZE
#define MANIFEST_SIZE sizeof(drw_manifest)
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(drw_plugin)
#endif
#ifndef CANCEL
#define CANCEL cancel
#endif
#ifndef OPEN_STATUS
#define OPEN_STATUS DRW_OK
#endif

static const drw_host *host;

struct policy {
    char config[256];
    volatile int cancels;
    drw_ctx *old_ctx;
    const drw_sink *old_sink;
};

static drw_bytes bytes(const char *text)
{
    drw_bytes view = { (const uint8_t *)text, strlen(text) };
    return view;
}

static int does(const struct policy *policy, const char *what)
{
    return strstr(policy->config, what) != NULL;
}

static const char *GOOD =
    "{\"state\":\"standby\",\"action\":\"nothing\",\"description\":\"fixture\",\"payload\":{\"waitTime\":\"\"}}";

static int32_t describe(const drw_sink *sink)
{
    return host->emit(sink, DRW_RESULT, bytes("{\"name\":\"not this one\",\"configSchema\":{}}"));
}

static drw_instance *create(drw_bytes config_json, const drw_sink *sink)
{
    struct policy *policy = calloc(1, sizeof *policy);
    if (config_json.len >= sizeof policy->config)
        config_json.len = sizeof policy->config - 1;
    memcpy(policy->config, config_json.ptr, config_json.len);
    if (does(policy, "refuse")) {
        host->emit(sink, DRW_ERROR_OBJECT,
                   bytes("{\"code\":\"error\",\"message\":\"no\",\"field\":\"do\",\"hint\":\"say something else\"}"));
        free(policy);
        return NULL;
    }
    return (drw_instance *)policy;
}

static int32_t ignore(void *owner, int32_t kind, drw_bytes answer)
{
    (void)kind;
    (void)answer;
    ++*(int *)owner;
    return DRW_OK;
}

static void *from_a_thread(void *argument)
{
    drw_ctx *ctx = argument;
    int answers = 0;
    drw_sink mine = { sizeof mine, 0, &answers, ignore };
    host->log(ctx, DRW_WARN, bytes("from a thread"), bytes("{\"n\":1}"));
    if (host->is_cancelled(ctx) != 0 || host->remaining_ms(ctx) == 0)
        host->log(ctx, DRW_ERR, bytes("cancelled already"), bytes(""));
    if (host->call(ctx, bytes("now"), bytes("{}"), &mine) != DRW_BAD_ARGUMENT)
        host->log(ctx, DRW_ERR, bytes("answered on another thread"), bytes(""));
    return NULL;
}

static int32_t use_what_is_over(struct policy *policy)
{
    int answers = 0;
    drw_sink mine = { sizeof mine, 0, &answers, ignore };
    host->log(policy->old_ctx, DRW_ERR, bytes("late"), bytes(""));
    if (host->call(policy->old_ctx, bytes("config"), bytes("{}"), &mine) != DRW_CANCELLED || answers != 1)
        return DRW_ERROR;
    if (host->remaining_ms(policy->old_ctx) != 0 || host->is_cancelled(policy->old_ctx) != 1)
        return DRW_ERROR;
    if (host->emit(policy->old_sink, DRW_RESULT, bytes(GOOD)) != DRW_BAD_ARGUMENT)
        return DRW_ERROR;
    return DRW_OK;
}

static int32_t evaluate(drw_instance *instance, const drw_call *call, const drw_sink *sink)
{
    struct policy *policy = (struct policy *)instance;
    int answers = 0;
    drw_sink mine = { sizeof mine, 0, &answers, ignore };
    if (does(policy, "nothing at all"))
        return DRW_OK;
    if (does(policy, "huge")) {
        drw_bytes huge = { calloc(2, DRW_ANSWER_BYTES_MAX), 2 * DRW_ANSWER_BYTES_MAX };
        host->emit(sink, DRW_RESULT, huge);
        free((void *)huge.ptr);
        return DRW_OK;
    }
    if (does(policy, "twice"))
        host->emit(sink, DRW_RESULT, bytes(GOOD));
    if (does(policy, "latin"))
        return host->emit(sink, DRW_RESULT, bytes("{\"a\":\"\xe9\"}"));
    if (does(policy, "half"))
        return host->emit(sink, DRW_RESULT, bytes("{\"a\":"));
    if (does(policy, "plain error"))
        return host->emit(sink, DRW_ERROR_OBJECT, bytes("it rains")) == DRW_OK ? DRW_ERROR : DRW_OK;
    if (does(policy, "mute error"))
        return 77;
    if (does(policy, "wrong calls")) {
        int32_t wrong = host->call(call->ctx, bytes("config"), bytes("{"), &mine) == DRW_BAD_ARGUMENT
                        && host->call(call->ctx, bytes("promote"), bytes("{}"), &mine) == DRW_UNSUPPORTED
                        && host->call(call->ctx, bytes("\xff"), bytes(""), &mine) == DRW_BAD_ARGUMENT
                        && host->call(call->ctx, bytes("now"), bytes(""), NULL) == DRW_BAD_ARGUMENT
                        && host->call(call->ctx, bytes("now"), bytes(""), &mine) == DRW_OK && answers == 4;
        if (!wrong)
            return DRW_ERROR;
    }
    if (does(policy, "wait")) {
        while (host->is_cancelled(call->ctx) == 0 || policy->cancels == 0) {
        }
        return DRW_CANCELLED;
    }
    if (does(policy, "thread")) {
        pthread_t thread;
        pthread_create(&thread, NULL, from_a_thread, call->ctx);
        pthread_join(thread, NULL);
    }
    if (does(policy, "late") && policy->old_ctx != NULL && use_what_is_over(policy) != DRW_OK)
        return DRW_ERROR;
    policy->old_ctx = call->ctx;
    policy->old_sink = sink;
    return host->emit(sink, DRW_RESULT, bytes(GOOD));
}

static void cancel(drw_instance *instance)
{
    ((struct policy *)instance)->cancels++;
}

static void destroy(drw_instance *instance)
{
    free(instance);
}

#ifndef NO_MANIFEST
const drw_manifest drw_plugin_manifest = {
    MAGIC, MANIFEST_SIZE, MAJOR, MINOR, 0,
    DRW_TEXT("fixture"), DRW_TEXT("0.1"), DRW_TEXT(""), DRW_TEXT("nobody@example.com"),
    DRW_TEXT(""), DRW_TEXT(""), DRW_TEXT(""),
};
#endif

#ifndef NO_OPEN
int32_t drw_plugin_open(const drw_host *table, drw_plugin *plugin)
{
    drw_plugin mine = { TABLE_SIZE, 0, describe, create, evaluate, CANCEL, destroy };
    host = table;
    *plugin = mine;
    return OPEN_STATUS;
}
#endif
