// What does a process do to its disk, call by call?
//
// This is loaded into a process by LD_PRELOAD. Each system call that changes or syncs a file becomes a SIGSYS, by a filter of
// seccomp, so that calls which libraries make without libc are seen, too. The handler makes the call itself, from the one place
// that the filter lets through, and writes down what the call did:
//
//   record   op (4) | length of the bytes (4) | node (8) | x (8) | y (8) | bytes
//
//   C D      file, directory made     node: folder, x: what was made, bytes: name
//   W        bytes written            node: file, x: offset
//   T        length set               node: file, x: length
//   G        length at least          node: file, x: length
//   R        renamed                  node: folder before, x: folder after, bytes: both names, a zero between them
//   L        linked                   node: folder, x: file, bytes: name
//   U        file or folder removed   node: folder, bytes: name
//   B E      a sync began, ended      node: file or folder, x: number of the sync
//   F        sync_file_range, which keeps nothing through a power cut
//   S        said on the standard output
//   X        something that this does not know how to write down, bytes: which
//
// A lock makes the order of the records that in which the calls took effect. It is not held during a sync, so that other
// threads go on writing meanwhile, as they would.
//
// POWER_TRACE names the file of records. Nothing here allocates or calls what may.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

long recorder_call(long number, long a, long b, long c, long d, long e, long f);
extern char recorder_after[];

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl recorder_call\n"
        ".globl recorder_after\n"
        "recorder_call:\n"
        "  mov %rdi, %rax\n"
        "  mov %rsi, %rdi\n"
        "  mov %rdx, %rsi\n"
        "  mov %rcx, %rdx\n"
        "  mov %r8, %r10\n"
        "  mov %r9, %r8\n"
        "  mov 8(%rsp), %r9\n"
        "  syscall\n"
        "recorder_after:\n"
        "  ret\n");
#define ARGUMENT(context, i) ((long)(context)->uc_mcontext.gregs[(int[]){REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9}[i]])
#define SET_RESULT(context, value) ((context)->uc_mcontext.gregs[REG_RAX] = (value))
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl recorder_call\n"
        ".globl recorder_after\n"
        "recorder_call:\n"
        "  mov x8, x0\n"
        "  mov x0, x1\n"
        "  mov x1, x2\n"
        "  mov x2, x3\n"
        "  mov x3, x4\n"
        "  mov x4, x5\n"
        "  mov x5, x6\n"
        "  svc #0\n"
        "recorder_after:\n"
        "  ret\n");
#define ARGUMENT(context, i) ((long)(context)->uc_mcontext.regs[i])
#define SET_RESULT(context, value) ((context)->uc_mcontext.regs[0] = (value))
#else
#error "this recorder knows x86_64 and aarch64"
#endif

#define CALL(number, a, b, c, d) recorder_call(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static int trace = -1;
static volatile int locked;
static uint64_t syncs;

static void lock(void) {
    while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE)) CALL(SYS_sched_yield, 0, 0, 0, 0);
}

static void unlock(void) { __atomic_store_n(&locked, 0, __ATOMIC_RELEASE); }

struct head {
    uint32_t op, length;
    uint64_t node, x, y;
};

static void put(const void *bytes, size_t length) {
    while (length > 0) {
        long written = CALL(SYS_write, trace, bytes, length, 0);
        if (written <= 0) CALL(SYS_exit_group, 97, 0, 0, 0);
        bytes = (const char *)bytes + written;
        length -= (size_t)written;
    }
}

static void note(char op, uint64_t node, uint64_t x, const void *bytes, size_t length) {
    struct head head = {(uint32_t)op, (uint32_t)length, node, x, 0};
    put(&head, sizeof head);
    put(bytes, length);
}

static void unknown(const char *what) { note('X', 0, 0, what, strlen(what)); }

// The folder that a path is in, and its name there; 0 when there is none.
static uint64_t parent(int dir, const char *path, char name[256]) {
    char folder[4096];
    size_t length = strlen(path);
    *name = 0;
    if (length == 0 || length >= sizeof folder) return 0;
    memcpy(folder, path, length + 1);
    while (length > 1 && folder[length - 1] == '/') folder[--length] = 0;
    char *slash = strrchr(folder, '/');
    const char *base = slash ? slash + 1 : folder;
    if (strlen(base) > 255) return 0;
    strcpy(name, base);
    const char *place = !slash ? "." : slash == folder ? "/" : (*slash = 0, folder);
    struct stat found;
    if (CALL(SYS_newfstatat, dir, place, &found, 0) != 0) return 0;
    return found.st_ino;
}

// The file behind a descriptor; 0 when it is neither a file nor a folder.
static uint64_t node(int fd) {
    struct stat found;
    if (CALL(SYS_fstat, fd, &found, 0, 0) != 0) return 0;
    return S_ISREG(found.st_mode) || S_ISDIR(found.st_mode) ? found.st_ino : 0;
}

static long opened(long number, long a, long b, long c, long d, int dir, const char *path, long flags) {
    if ((flags & O_TMPFILE) == O_TMPFILE) unknown("a file without a name");
    if (!(flags & (O_CREAT | O_TRUNC))) return CALL(number, a, b, c, d);
    struct stat before, after;
    lock();
    int there = CALL(SYS_newfstatat, dir, path, &before, 0) == 0;
    long fd = CALL(number, a, b, c, d);
    if (fd >= 0 && CALL(SYS_fstat, fd, &after, 0, 0) == 0 && S_ISREG(after.st_mode)) {
        char name[256];
        if (!there) {
            uint64_t folder = parent(dir, path, name);
            note('C', folder, after.st_ino, name, strlen(name));
        } else if (flags & O_TRUNC && before.st_size > 0) {
            note('T', after.st_ino, 0, "", 0);
        }
    }
    unlock();
    return fd;
}

static long made(long result, int dir, const char *path) {
    struct stat found;
    char name[256];
    if (result == 0 && CALL(SYS_newfstatat, dir, path, &found, 0) == 0) {
        uint64_t folder = parent(dir, path, name);
        note('D', folder, found.st_ino, name, strlen(name));
    }
    unlock();
    return result;
}

static long removed(long number, long a, long b, long c, int dir, const char *path) {
    char name[256];
    lock();
    uint64_t folder = parent(dir, path, name);
    long result = CALL(number, a, b, c, 0);
    if (result == 0) note('U', folder, 0, name, strlen(name));
    unlock();
    return result;
}

static long renamed(long number, long a, long b, long c, long d, long e, int from, const char *old, int to, const char *new) {
    char names[512], name[256];
    lock();
    uint64_t before = parent(from, old, names), after = parent(to, new, name);
    size_t first = strlen(names) + 1;
    strcpy(names + first, name);
    long result = recorder_call(number, a, b, c, d, e, 0);
    if (result == 0) note('R', before, after, names, first + strlen(name));
    if (result == 0 && number == SYS_renameat2 && e & ~1) unknown("an exchange of names");
    unlock();
    return result;
}

static long linked(long number, long a, long b, long c, long d, long e, int to, const char *new) {
    struct stat found;
    char name[256];
    lock();
    long result = recorder_call(number, a, b, c, d, e, 0);
    if (result == 0 && CALL(SYS_newfstatat, to, new, &found, 0) == 0) {
        uint64_t folder = parent(to, new, name);
        note('L', folder, found.st_ino, name, strlen(name));
    }
    unlock();
    return result;
}

static long synced(long number, int fd) {
    uint64_t file = node(fd);
    lock();
    uint64_t sync = ++syncs;
    if (file) note('B', file, sync, "", 0);
    unlock();
    long result = CALL(number, fd, 0, 0, 0);
    lock();
    if (file && result == 0) note('E', file, sync, "", 0);
    unlock();
    return result;
}

static long lengthened(long result, uint64_t file, char op, uint64_t length) {
    if (file && result == 0) note(op, file, length, "", 0);
    unlock();
    return result;
}

// After a write of so many bytes at an offset.
static void wrote(uint64_t file, uint64_t at, const struct iovec *parts, size_t count, size_t length) {
    for (size_t i = 0; i < count && length > 0; i++) {
        size_t part = parts[i].iov_len < length ? parts[i].iov_len : length;
        note('W', file, at, parts[i].iov_base, part);
        at += part;
        length -= part;
    }
}

static long written(long number, long a, long b, long c, long d, long e, long f, const struct iovec *parts, size_t count, int positioned) {
    int fd = (int)a;
    uint64_t file = node(fd);
    if (!file && fd != 1) return recorder_call(number, a, b, c, d, e, f);
    lock();
    long result = recorder_call(number, a, b, c, d, e, f);
    if (result > 0 && fd == 1) {
        for (size_t i = 0; i < count; i++) note('S', 0, 0, parts[i].iov_base, parts[i].iov_len);
    } else if (result > 0) {
        uint64_t at = positioned ? (uint64_t)d : (uint64_t)(CALL(SYS_lseek, fd, 0, SEEK_CUR, 0) - result);
        wrote(file, at, parts, count, (size_t)result);
    }
    unlock();
    return result;
}

static long plain(long number, const long a[6], const char *what) {
    lock();
    long result = recorder_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (what) unknown(what);
    unlock();
    return result;
}

static long done(long number, const long a[6]) {
    struct iovec one = {(void *)a[1], (size_t)a[2]};
    switch (number) {
    case SYS_write: return written(number, a[0], a[1], a[2], 0, 0, 0, &one, 1, 0);
    case SYS_pwrite64: return written(number, a[0], a[1], a[2], a[3], 0, 0, &one, 1, 1);
    case SYS_writev: return written(number, a[0], a[1], a[2], 0, 0, 0, (const struct iovec *)a[1], (size_t)a[2], 0);
    case SYS_pwritev: return written(number, a[0], a[1], a[2], a[3], a[4], 0, (const struct iovec *)a[1], (size_t)a[2], 1);
    case SYS_openat: return opened(number, a[0], a[1], a[2], a[3], (int)a[0], (const char *)a[1], a[2]);
    case SYS_ftruncate: lock(); return lengthened(CALL(number, a[0], a[1], 0, 0), node((int)a[0]), 'T', (uint64_t)a[1]);
    case SYS_fallocate:
        if (a[1] != 0) return plain(number, a, "fallocate with a mode");
        lock();
        return lengthened(CALL(number, a[0], a[1], a[2], a[3]), node((int)a[0]), 'G', (uint64_t)(a[2] + a[3]));
    case SYS_mkdirat: lock(); return made(CALL(number, a[0], a[1], a[2], 0), (int)a[0], (const char *)a[1]);
    case SYS_unlinkat: return removed(number, a[0], a[1], a[2], (int)a[0], (const char *)a[1]);
    case SYS_renameat2:
        return renamed(number, a[0], a[1], a[2], a[3], a[4], (int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3]);
    case SYS_linkat: return linked(number, a[0], a[1], a[2], a[3], a[4], (int)a[2], (const char *)a[3]);
    case SYS_fsync:
    case SYS_fdatasync: return synced(number, (int)a[0]);
    case SYS_sync_file_range: lock(); return lengthened(CALL(number, a[0], a[1], a[2], a[3]), node((int)a[0]), 'F', 0);
    case SYS_mmap: return plain(number, a, node((int)a[4]) ? "a shared mapping of a file" : NULL);
#if defined(__x86_64__)
    case SYS_open: return opened(number, a[0], a[1], a[2], 0, AT_FDCWD, (const char *)a[0], a[1]);
    case SYS_mkdir: lock(); return made(CALL(number, a[0], a[1], 0, 0), AT_FDCWD, (const char *)a[0]);
    case SYS_unlink:
    case SYS_rmdir: return removed(number, a[0], 0, 0, AT_FDCWD, (const char *)a[0]);
    case SYS_rename: return renamed(number, a[0], a[1], 0, 0, 0, AT_FDCWD, (const char *)a[0], AT_FDCWD, (const char *)a[1]);
    case SYS_link: return linked(number, a[0], a[1], 0, 0, 0, AT_FDCWD, (const char *)a[1]);
#endif
#ifdef SYS_renameat
    case SYS_renameat:
        return renamed(number, a[0], a[1], a[2], a[3], 0, (int)a[0], (const char *)a[1], (int)a[2], (const char *)a[3]);
#endif
    default: return plain(number, a, "a call that is not written down");
    }
}

static void handle(int signal, siginfo_t *info, void *given) {
    (void)signal;
    ucontext_t *context = given;
    long a[6];
    for (int i = 0; i < 6; i++) a[i] = ARGUMENT(context, i);
    SET_RESULT(context, done(info->si_syscall, a));
}

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define LOAD_AT(field, more) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field) + (more))
#define TRAP BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define IS(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), TRAP

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_TRACE");
    if (!path) return;
    trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    uint32_t low = (uint32_t)(uintptr_t)recorder_after, high = (uint32_t)((uintptr_t)recorder_after >> 32);
    struct sock_filter filter[] = {
        LOAD_AT(instruction_pointer, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 0, 3),
        LOAD_AT(instruction_pointer, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, high, 0, 1),
        ALLOW,
        LOAD(nr),
        IS(SYS_write), IS(SYS_pwrite64), IS(SYS_writev), IS(SYS_pwritev), IS(SYS_pwritev2),
        IS(SYS_openat), IS(SYS_openat2), IS(SYS_ftruncate), IS(SYS_truncate), IS(SYS_fallocate),
        IS(SYS_mkdirat), IS(SYS_unlinkat), IS(SYS_renameat2), IS(SYS_linkat), IS(SYS_symlinkat),
        IS(SYS_fsync), IS(SYS_fdatasync), IS(SYS_sync_file_range), IS(SYS_sync), IS(SYS_syncfs), IS(SYS_msync),
        IS(SYS_copy_file_range), IS(SYS_sendfile), IS(SYS_splice), IS(SYS_io_submit), IS(SYS_io_uring_setup),
#if defined(__x86_64__)
        IS(SYS_open), IS(SYS_creat), IS(SYS_mkdir), IS(SYS_unlink), IS(SYS_rmdir), IS(SYS_rename), IS(SYS_link), IS(SYS_symlink),
#endif
#ifdef SYS_renameat
        IS(SYS_renameat),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
        LOAD_AT(args[2], 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 3),
        LOAD_AT(args[3], 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1),
        TRAP,
        ALLOW,
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    int ready = trace >= 0 && sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
    if (!ready) _exit(98);
}
