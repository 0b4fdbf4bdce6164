/* A driver library of our own for tests: what pynvml calls for us, answered from a small file.
 *
 * The file is named by AQUIFER_NVML_STATE and has lines `key=value`. It is read anew for every call, so a test can
 * change it under a running agent; what an agent does to MIG is written back to it.
 *
 *   cards=2                     how many there are; absent: the driver is not loaded
 *   card.0.uuid=GPU-0           and name, memory_mib, used_mib, busy, milliwatts, celsius, bus
 *   card.0.lost=1               it fell off the bus
 *   card.0.rows_failed=1        memory rows that could not be replaced
 *   card.0.hang=60              every call about it takes so many seconds
 *   card.0.processes=1          so many processes of others are on it
 *   card.0.mig=0                MIG is off (0) or on (1); absent: a card without MIG
 *   card.0.needs_reset=1        MIG is switched by a reset only
 *   card.0.hides_profiles=1     it does not say what it can be cut into while MIG is off
 *   card.0.refuses=1            it makes no instance
 *   gi.0.3=19,1                 card 0 has GPU instance 3 of profile 19, with its compute instance
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { OK = 0, BAD_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, NOT_LOADED = 9,
       LOST = 15, IN_USE = 19, NO_ROOM = 23, UNKNOWN = 999 };
enum { MOST_INSTANCES = 15, SLICES = 7, MEMORY_SLICES = 8, TEXT = 96 };
#define MIB (1024ULL * 1024ULL)

/* As an A100 of 80 GB offers them. */
static const struct { unsigned kind, id, slices, memory, most; unsigned long long mib; const char *name; } PROFILES[] = {
    {0, 19, 1, 1, 7, 9728, "MIG 1g.10gb"},  {9, 15, 1, 2, 4, 19968, "MIG 1g.20gb"}, {1, 14, 2, 2, 3, 19968, "MIG 2g.20gb"},
    {2, 9, 3, 4, 2, 40192, "MIG 3g.40gb"},  {3, 5, 4, 4, 1, 40192, "MIG 4g.40gb"},  {4, 0, 7, 8, 1, 80896, "MIG 7g.80gb"},
};
enum { PROFILE_COUNT = sizeof PROFILES / sizeof *PROFILES };

/* The state file */

static int open_state(int flags) {
    const char *path = getenv("AQUIFER_NVML_STATE");
    int file = path ? open(path, flags) : -1;
    if (file >= 0) flock(file, flags == O_RDONLY ? LOCK_SH : LOCK_EX);
    return file;
}

static char *whole(int file) {
    static __thread char text[65536];
    ssize_t size = file < 0 ? 0 : pread(file, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    return text;
}

static int look_in(const char *text, const char *key, char *value, size_t room) {
    size_t size = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (!strncmp(line, key, size) && line[size] == '=') {
            size_t length = strcspn(line + size + 1, "\n");
            snprintf(value, room, "%.*s", (int)length, line + size + 1);
            return 1;
        }
    return 0;
}

static int say(const char *key, char *value, size_t room) {
    int file = open_state(O_RDONLY);
    int found = look_in(whole(file), key, value, room);
    if (file >= 0) close(file);
    return found;
}

static int text_of(int card, const char *name, char *value, size_t room) {
    char key[TEXT];
    snprintf(key, sizeof key, "card.%d.%s", card, name);
    return say(key, value, room);
}

static long long number_of(int card, const char *name, long long otherwise) {
    char value[TEXT];
    return text_of(card, name, value, sizeof value) ? atoll(value) : otherwise;
}

/* One line put in the place of another; no value: the line goes. */
static void put(const char *key, const char *value) {
    int file = open_state(O_RDWR);
    if (file < 0) return;
    static __thread char made[65536];
    size_t size = strlen(key), at = 0;
    for (char *line = whole(file), *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (strncmp(line, key, size) || line[size] != '=') at += (size_t)snprintf(made + at, sizeof made - at, "%s\n", line);
    }
    if (value) at += (size_t)snprintf(made + at, sizeof made - at, "%s=%s\n", key, value);
    if (ftruncate(file, 0) == 0 && pwrite(file, made, at, 0) < 0) abort();
    close(file);
}

/* Handles are numbers in disguise */

enum { CARD = 0x1000, PART = 0x2000, INSTANCE = 0x3000, COMPUTE = 0x4000, EACH = 64 };

static void *handle(int kind, int card, int id) { return (void *)(uintptr_t)(kind + card * EACH + id); }
static int kind_of(const void *h) { return (int)((uintptr_t)h & 0xf000); }
static int card_of(const void *h) { return (int)(((uintptr_t)h & 0xfff) / EACH); }
static int id_of(const void *h) { return (int)(((uintptr_t)h & 0xfff) % EACH); }

static int alive(const void *h) {
    int card = card_of(h);
    long long seconds = number_of(card, "hang", 0);
    if (seconds) sleep((unsigned)seconds);
    return number_of(card, "lost", 0) ? LOST : OK;
}
#define ASK(h) do { int bad = alive(h); if (bad) return bad; } while (0)

static int instance(int card, int id, int *profile, int *has_compute) {
    char key[TEXT], value[TEXT];
    snprintf(key, sizeof key, "gi.%d.%d", card, id);
    return say(key, value, sizeof value) && sscanf(value, "%d,%d", profile, has_compute) == 2;
}

static void keep(int card, int id, int profile, int has_compute) {
    char key[TEXT], value[TEXT];
    snprintf(key, sizeof key, "gi.%d.%d", card, id);
    snprintf(value, sizeof value, "%d,%d", profile, has_compute);
    put(key, profile < 0 ? NULL : value);
}

static int profile_at(int id) {
    for (int i = 0; i < PROFILE_COUNT; i++) if ((int)PROFILES[i].id == id) return i;
    return -1;
}

/* The library and its cards */

int nvmlInitWithFlags(unsigned flags) { char v[TEXT]; (void)flags; return say("cards", v, sizeof v) ? OK : NOT_LOADED; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int error) {
    switch (error) {
    case NOT_SUPPORTED: return "Not Supported";
    case NO_PERMISSION: return "Insufficient Permissions";
    case NOT_FOUND: return "Not Found";
    case LOST: return "GPU is lost";
    case IN_USE: return "In use by another client";
    case NO_ROOM: return "Insufficient Resources";
    default: return "Unknown Error";
    }
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    char value[TEXT];
    if (!say("cards", value, sizeof value)) return NOT_LOADED;
    *count = (unsigned)atoi(value);
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = handle(CARD, (int)index, 0);
    return alive(*device);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    unsigned count = 0;
    char own[TEXT];
    nvmlDeviceGetCount_v2(&count);
    for (int card = 0; card < (int)count; card++)
        if (text_of(card, "uuid", own, sizeof own) && !strcmp(own, uuid)) {
            *device = handle(CARD, card, 0);
            return alive(*device);
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned room) {
    ASK(device);
    char own[TEXT] = "GPU-?";
    int profile = 0, compute;
    text_of(card_of(device), "uuid", own, sizeof own);
    if (kind_of(device) == CARD) snprintf(uuid, room, "%s", own);
    else if (!instance(card_of(device), id_of(device), &profile, &compute)) return NOT_FOUND;
    else snprintf(uuid, room, "MIG-%s-%d-%d", own + (strncmp(own, "GPU-", 4) ? 0 : 4), id_of(device), profile);
    return OK;
}

int nvmlDeviceGetName(void *device, char *name, unsigned room) {
    ASK(device);
    char own[TEXT] = "NVIDIA A100-SXM4-80GB";
    int profile, compute;
    text_of(card_of(device), "name", own, sizeof own);
    if (kind_of(device) == CARD) snprintf(name, room, "%s", own);
    else if (!instance(card_of(device), id_of(device), &profile, &compute)) return NOT_FOUND;
    else snprintf(name, room, "%s %s", own, PROFILES[profile_at(profile)].name);
    return OK;
}

int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory) { /* total, free, used */
    ASK(device);
    int profile, compute, card = card_of(device);
    if (kind_of(device) == CARD) {
        memory[0] = (unsigned long long)number_of(card, "memory_mib", 81920) * MIB;
        memory[2] = (unsigned long long)number_of(card, "used_mib", 0) * MIB;
    } else if (!instance(card, id_of(device), &profile, &compute)) return NOT_FOUND;
    else { memory[0] = PROFILES[profile_at(profile)].mib * MIB; memory[2] = 12 * MIB; }
    memory[1] = memory[0] - memory[2];
    return OK;
}

static int figure(void *device, const char *name, unsigned *value) {
    ASK(device);
    long long found = number_of(card_of(device), name, -1);
    if (found < 0 || kind_of(device) != CARD) return NOT_SUPPORTED;
    *value = (unsigned)found;
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *device, unsigned *rates) { rates[1] = 0; return figure(device, "busy", rates); }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { return figure(device, "milliwatts", milliwatts); }
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) { (void)sensor; return figure(device, "celsius", celsius); }

int nvmlDeviceGetRemappedRows(void *device, unsigned *corrected, unsigned *lost, unsigned *pending, unsigned *failed) {
    ASK(device);
    *corrected = *lost = *pending = 0;
    *failed = (unsigned)number_of(card_of(device), "rows_failed", 0);
    return OK;
}

int nvmlDeviceGetRetiredPagesPendingStatus(void *device, unsigned *pending) { (void)device; (void)pending; return NOT_SUPPORTED; }

struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci) {
    ASK(device);
    memset(pci, 0, sizeof *pci);
    return text_of(card_of(device), "bus", pci->bus_id, sizeof pci->bus_id) ? OK : NOT_SUPPORTED;
}

struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process *processes) {
    ASK(device);
    unsigned there = (unsigned)number_of(card_of(device), "processes", 0), room = *count;
    *count = there;
    if (there > room) return TOO_SMALL;
    for (unsigned i = 0; i < there; i++) processes[i] = (struct process){1, 0, ~0u, ~0u};
    return OK;
}

/* MIG */

int nvmlDeviceGetMigMode(void *device, unsigned *now, unsigned *pending) {
    ASK(device);
    long long mode = number_of(card_of(device), "mig", -1);
    if (mode < 0) return NOT_SUPPORTED;
    *now = (unsigned)mode;
    *pending = (unsigned)number_of(card_of(device), "pending_mig", mode);
    return OK;
}

int nvmlDeviceSetMigMode(void *device, unsigned mode, unsigned *activation) {
    ASK(device);
    int card = card_of(device), profile, compute;
    char key[TEXT];
    *activation = OK;
    if (number_of(card, "mig", -1) < 0) return NOT_SUPPORTED;
    for (int id = 0; id < MOST_INSTANCES; id++) if (instance(card, id, &profile, &compute)) return IN_USE;
    snprintf(key, sizeof key, number_of(card, "needs_reset", 0) ? "card.%d.pending_mig" : "card.%d.mig", card);
    put(key, mode ? "1" : "0");
    return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) { ASK(device); *count = MOST_INSTANCES; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **part) {
    ASK(device);
    int profile, compute;
    if (!instance(card_of(device), (int)index, &profile, &compute) || !compute) return NOT_FOUND;
    *part = handle(PART, card_of(device), (int)index);
    return OK;
}

struct profile { unsigned version, id, p2p, slices, most, processors, copy, decoders, encoders, jpeg, ofa;
                 unsigned long long mib; char name[TEXT]; };

int nvmlDeviceGetGpuInstanceProfileInfoV(void *device, unsigned kind, struct profile *info) {
    ASK(device);
    long long mode = number_of(card_of(device), "mig", -1);
    if (mode < 0 || (!mode && number_of(card_of(device), "hides_profiles", 0))) return NOT_SUPPORTED;
    for (int i = 0; i < PROFILE_COUNT; i++)
        if (PROFILES[i].kind == kind) {
            info->id = PROFILES[i].id;
            info->slices = PROFILES[i].slices;
            info->most = PROFILES[i].most;
            info->mib = PROFILES[i].mib;
            snprintf(info->name, sizeof info->name, "%s", PROFILES[i].name);
            return OK;
        }
    return NOT_SUPPORTED;
}

int nvmlDeviceCreateGpuInstance(void *device, unsigned profile, void **made) {
    ASK(device);
    int card = card_of(device), at = profile_at((int)profile), is_on = number_of(card, "mig", 0) == 1, unused = -1;
    unsigned slices = 0, memory = 0, same = 0;
    if (at < 0) return BAD_ARGUMENT;
    if (!is_on) return NOT_SUPPORTED;
    if (number_of(card, "refuses", 0)) return NO_PERMISSION;
    for (int id = 0; id < MOST_INSTANCES; id++) {
        int other, compute;
        if (!instance(card, id, &other, &compute)) { if (unused < 0 && id) unused = id; continue; }
        slices += PROFILES[profile_at(other)].slices;
        memory += PROFILES[profile_at(other)].memory;
        same += other == (int)profile;
    }
    if (slices + PROFILES[at].slices > SLICES || memory + PROFILES[at].memory > MEMORY_SLICES || same >= PROFILES[at].most)
        return NO_ROOM;
    keep(card, unused, (int)profile, 0);
    *made = handle(INSTANCE, card, unused);
    return OK;
}

int nvmlDeviceGetGpuInstances(void *device, unsigned profile, void **instances, unsigned *count) {
    ASK(device);
    int other, compute, card = card_of(device);
    *count = 0;
    for (int id = 0; id < MOST_INSTANCES; id++)
        if (instance(card, id, &other, &compute) && other == (int)profile) instances[(*count)++] = handle(INSTANCE, card, id);
    return OK;
}

int nvmlGpuInstanceDestroy(void *gpu) {
    ASK(gpu);
    int profile, compute;
    if (!instance(card_of(gpu), id_of(gpu), &profile, &compute)) return NOT_FOUND;
    if (compute) return IN_USE;
    keep(card_of(gpu), id_of(gpu), -1, 0);
    return OK;
}

struct compute_profile { unsigned version, id, slices, most, processors, copy, decoders, encoders, jpeg, ofa; char name[TEXT]; };

/* A compute instance may have all slices of its GPU instance, or one. */
int nvmlGpuInstanceGetComputeInstanceProfileInfoV(void *gpu, unsigned kind, unsigned engines, struct compute_profile *info) {
    ASK(gpu);
    static const unsigned SIZES[] = {1, 2, 3, 4, 7};
    int profile, compute;
    if (engines || kind >= sizeof SIZES / sizeof *SIZES) return NOT_SUPPORTED;
    if (!instance(card_of(gpu), id_of(gpu), &profile, &compute)) return NOT_FOUND;
    unsigned size = SIZES[kind], own = PROFILES[profile_at(profile)].slices;
    if (size != 1 && size != own) return NOT_SUPPORTED;
    info->id = kind;
    info->slices = size;
    info->most = own / size;
    return OK;
}

int nvmlGpuInstanceCreateComputeInstance(void *gpu, unsigned profile, void **made) {
    ASK(gpu);
    int other, compute;
    (void)profile;
    if (!instance(card_of(gpu), id_of(gpu), &other, &compute)) return NOT_FOUND;
    if (compute) return NO_ROOM;
    keep(card_of(gpu), id_of(gpu), other, 1);
    *made = handle(COMPUTE, card_of(gpu), id_of(gpu));
    return OK;
}

int nvmlGpuInstanceGetComputeInstances(void *gpu, unsigned profile, void **instances, unsigned *count) {
    ASK(gpu);
    static const unsigned SIZES[] = {1, 2, 3, 4, 7};
    int other, compute;
    *count = 0;
    if (instance(card_of(gpu), id_of(gpu), &other, &compute) && compute && profile < 5
        && SIZES[profile] == PROFILES[profile_at(other)].slices)
        instances[(*count)++] = handle(COMPUTE, card_of(gpu), id_of(gpu));
    return OK;
}

int nvmlComputeInstanceDestroy(void *compute) {
    ASK(compute);
    int profile, there;
    if (!instance(card_of(compute), id_of(compute), &profile, &there) || !there) return NOT_FOUND;
    keep(card_of(compute), id_of(compute), profile, 0);
    return OK;
}
