/*
 * drw_policy.h - what a compiled policy of dr-watchdog is, in C.
 *
 * WHAT A POLICY IS
 *   Two sites run one service; one is active, one is standby. When a site no longer hears the other, it asks its
 *   policy what to do. The policy looks at evidence through host calls and answers with a verdict, one JSON object:
 *     {"state":"active|standby","action":"beActive|beStandby|nothing|wait","description":"why, in a sentence",
 *      "payload":{"waitTime":"","details":{}}}
 *   A verdict is a request. The watchdog weighs it under gates that no verdict can pass by. A policy that fails, for
 *   whatever reason, has answered "nothing".
 *
 * WHAT A LIBRARY EXPORTS
 *   Two symbols, nothing else is looked for:
 *     drw_plugin_manifest   constant data, read before any code of the library is called
 *     drw_plugin_open       exchanges the host's table for the plugin's
 *   (Constructors of the library do run when it is loaded. Keep them empty.)
 *
 * VERSIONS
 *   The majors of plugin and host must be equal, and the host's minor must not be below the minor that the plugin
 *   requires. Every table begins with its own size in bytes. Fields are only ever appended. Use a field only if the
 *   size covers it: DRW_HAS(table, field). What exists stays for one full major. Enumerations travel as int32_t; an
 *   unknown level counts as DRW_INFO, an unknown status as DRW_ERROR. New host calls are new method names of `call`,
 *   so they change no number here; a host that does not know one answers DRW_UNSUPPORTED.
 *
 * OWNERSHIP
 *   Nobody frees the other's memory, and there is no function to free anything.
 *   - drw_bytes belong to the caller. They die when the call returns: copy what you keep. They are UTF-8 (texts) or
 *     JSON (names that end in _json), and no NUL ends them. `ptr` may be NULL where `len` is 0.
 *   - A result goes into the sink that came with the call, before the call returns. The host's sinks are filled with
 *     host->emit, at most once per call: either one result or one error.
 *   - A sink belongs to whoever made it. For host->call the plugin makes its own: a struct on its stack with a
 *     callback that copies the bytes.
 *   - The host's table lives until the process ends. The plugin's table is copied.
 *   - An instance belongs to the plugin. The host calls destroy once for each instance that create returned.
 *   - A drw_ctx lives from the begin of evaluate to its end. Used later it is refused (DRW_CANCELLED, 0 ms left);
 *     it is never followed.
 *   - A library is never unloaded.
 *
 * THREADS
 *   evaluate calls of one instance never overlap; instances may run in parallel. log, remaining_ms and is_cancelled
 *   may be called from any thread while evaluate runs. call belongs to the thread on which evaluate was called; from
 *   another one it is answered with DRW_BAD_ARGUMENT. cancel comes from another thread, at any time between create
 *   and destroy, also more than once, and also when nothing runs: set a flag, wake your waits, return at once.
 *
 * TIME
 *   Return from evaluate before remaining_ms is used up; host calls count. At the deadline the host calls cancel,
 *   waits half a second, and kills the process that runs the plugin. That costs one verdict.
 *
 * TRUST
 *   A plugin runs in a process of its own: not in the watchdog, without its secrets, and without need of the network,
 *   because host calls are performed by the watchdog. A crash, a hang, an exit or an output to stdout costs one
 *   verdict and nothing else. Within that process the plugin is native code and is trusted with the process: the host
 *   checks who may write the file, what the manifest says, the length of every answer and every verdict, and it
 *   never follows a handle of yours that it does not know. It cannot check that your pointers point to something.
 *   Do not fork, change signal handlers or the directory, exit, or write to stdout or stderr on purpose (what you
 *   write there becomes log lines).
 *   Exceptions and unwinding must not leave a function of the plugin.
 */
#ifndef DRW_POLICY_H
#define DRW_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DRW_ABI_MAJOR 1u
#define DRW_ABI_MINOR 0u

/* The first 8 bytes of a manifest: "DRWPLUG" and a one. */
#define DRW_MAGIC_BYTES { 'D', 'R', 'W', 'P', 'L', 'U', 'G', 1 }

/* Whether the table behind this pointer is long enough to have the field. */
#define DRW_HAS(table, field) \
    ((table)->size >= (size_t)((const char *)&(table)->field - (const char *)(table)) + sizeof (table)->field)

/* Outcomes of a call, in either direction. */
enum {
    DRW_OK = 0,           /* done; the sink holds a result, where the call has one */
    DRW_ERROR = 1,        /* failed; the sink holds an error object */
    DRW_CANCELLED = 2,    /* the evaluation was cancelled, or its time is over */
    DRW_DENIED = 3,       /* no grant for this call; the error names the configuration line that gives it */
    DRW_UNSUPPORTED = 4,  /* the other side does not know this */
    DRW_BAD_ARGUMENT = 5, /* an argument is wrong */
    DRW_PANIC = 6         /* the plugin panicked and caught it itself */
};

/* What goes into a sink. */
enum {
    DRW_RESULT = 0,      /* the JSON of the result */
    DRW_ERROR_OBJECT = 1 /* {"code":"…","message":"…"}, optionally with "field" and "hint" */
};

/* Levels of a log line. */
enum { DRW_DEBUG = 0, DRW_INFO = 1, DRW_WARN = 2, DRW_ERR = 3 };

/* The longest answer that a host takes from a plugin, in bytes. A longer one is an error. */
#define DRW_ANSWER_BYTES_MAX 1048576u

typedef struct drw_bytes {
    const uint8_t *ptr;
    size_t len;
} drw_bytes;

/* One evaluation. Opaque: a handle that the host looks up. */
typedef struct drw_ctx drw_ctx;

/* One instance of the policy. Opaque to the host. */
typedef struct drw_instance drw_instance;

/* Where an answer goes. on_bytes copies what it wants before it returns. */
typedef struct drw_sink {
    uint32_t size;
    uint32_t reserved; /* 0 */
    void *owner;       /* handed back to on_bytes */
    int32_t (*on_bytes)(void *owner, int32_t kind, drw_bytes bytes);
} drw_sink;

/* One question. */
typedef struct drw_call {
    uint32_t size;
    uint32_t reserved; /* 0 */
    drw_ctx *ctx;
    /* {"role":"active|standby","situation":"peerLost|bothStandby|waiting","waitTime":null or instant,
     *  "previous":null or the last verdict,"deadlineMs":10000,"now":"2026-01-01T00:00:00+00:00"} */
    drw_bytes context_json;
} drw_call;

/* What the host offers. */
typedef struct drw_host {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t reserved; /* 0 */
    /* Writes a log line under the policy's name. fields_json is an object of further fields, or empty. */
    void (*log)(drw_ctx *ctx, int32_t level, drw_bytes text, drw_bytes fields_json);
    /* Milliseconds until the deadline; 0 when it is over. */
    uint64_t (*remaining_ms)(drw_ctx *ctx);
    /* 1 when the host wants no answer any more, else 0. */
    int32_t (*is_cancelled)(drw_ctx *ctx);
    /* Performs a host call; the answer goes into the plugin's own sink. Methods, with request and answer:
     *   config             {"sections":["role","watchdog"]}, none named: all   the sections
     *   arbiters.ping      {}                                                  who answers ping
     *   arbiters.sessions  {}                                                  who is managed by the other site
     *   ping               {"hosts":["192.0.2.1"],"timeoutMs":1000,"retries":1}
     *   ssh                {"arbiter":"203.0.113.1","command":"show version","timeoutMs":5000}
     *   tcp                {"address":"192.0.2.1:443","timeoutMs":1000}
     *   log                {"level":"info","text":"…"}                         null
     *   now                {}                                                  the instant of the question
     *   remaining_ms       {}                                                  a number
     *   state.get          {}                                                  what was put last, or null
     *   state.put          {"value":…}, kept over restarts, at most 64 KiB     null
     * A network failure is a value in the answer. An error is a wrong request, a missing grant or the end of the
     * evaluation. schema/ beside this folder has the shapes. */
    int32_t (*call)(drw_ctx *ctx, drw_bytes method, drw_bytes request_json, const drw_sink *sink);
    /* Answers the host: puts bytes into a sink that the host handed over, while that call runs. */
    int32_t (*emit)(const drw_sink *sink, int32_t kind, drw_bytes bytes);
} drw_host;

/* What a plugin offers. All five functions are required. */
typedef struct drw_plugin {
    uint32_t size;
    uint32_t reserved; /* 0 */
    /* Tells about the policy: {"name":"…","version":"…","configSchema":{JSON Schema of [policy.config]},
     * "detailsSchema":null or a schema,"capabilities":["ssh"],"deadlineMs":10000}. */
    int32_t (*describe)(const drw_sink *sink);
    /* Makes an instance from the JSON of [policy.config] ({} where there is none). NULL after an error, which is in
     * the sink then. */
    drw_instance *(*create)(drw_bytes config_json, const drw_sink *sink);
    /* Answers one question with the JSON of a verdict. */
    int32_t (*evaluate)(drw_instance *instance, const drw_call *call, const drw_sink *sink);
    /* The host no longer wants an answer. See THREADS. */
    void (*cancel)(drw_instance *instance);
    /* Ends the instance. */
    void (*destroy)(drw_instance *instance);
} drw_plugin;

/* Constant data. name and version are required, the other texts may be empty. */
typedef struct drw_manifest {
    uint8_t magic[8]; /* DRW_MAGIC_BYTES */
    uint32_t size;
    uint32_t abi_major;          /* DRW_ABI_MAJOR of the header it was built with */
    uint32_t abi_minor_required; /* the lowest minor of a host that it can live with */
    uint32_t flags;              /* 0 */
    drw_bytes name;
    drw_bytes version;
    drw_bytes vendor;
    drw_bytes contact;
    drw_bytes license;
    drw_bytes sdk_version;
    drw_bytes target; /* for example x86_64-unknown-linux-gnu */
} drw_manifest;

/* Text of a string literal as drw_bytes in a static initializer: DRW_TEXT("…"). */
#define DRW_TEXT(literal) { (const uint8_t *)(literal), sizeof(literal) - 1 }

#if defined(__GNUC__) || defined(__clang__)
#define DRW_EXPORT __attribute__((visibility("default")))
#else
#define DRW_EXPORT
#endif

/* What the plugin defines. */
extern DRW_EXPORT const drw_manifest drw_plugin_manifest;

/* `host` lives until the process ends. `plugin->size` says how much room there is; fill what fits, and set
 * plugin->size to what was filled. DRW_OK, or the reason why this plugin cannot work with this host. */
DRW_EXPORT int32_t drw_plugin_open(const drw_host *host, drw_plugin *plugin);

#ifdef __cplusplus
}
#endif

#endif
