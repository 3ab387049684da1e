/*
 * A QEMU TCG plugin (user mode) that tells what a program executes, as Intel PT, and every system call that changes
 * what code lies where.
 *
 * It writes frames to a pipe; `frame-reader.ts` reads them and documents the format. Debian's QEMU
 * has plugins on but ships no header, so the few functions it needs are declared here.
 *
 * What has not been sent yet lies in a shared memory file per virtual CPU (argument `tails`), as ids of translation
 * blocks and where the trace stands before them, so that nothing is lost when the program dies of a signal, which ends
 * QEMU without a farewell. With `ids=on` the ids themselves are sent, which the reader then encodes.
 *
 * Two ways to be used. To record: `fd=N` is the pipe, and what a forked child does is left out. To guard:
 * `sock=PATH` is a socket to which each process connects, forked children, too, and programs that the
 * program turns into, for which the guard is asked; the guard may stop the program and see its registers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "encoder.h"

/*
 * Generated code keeps the address of the CPU's state in this register; it begins with the guest's registers
 * in the order of their numbers. Reserved here, so that a callback finds it there. Elsewhere registers are
 * not told.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
register void *cpu_state __asm__("rbp");
#define CPU_STATE ((uint64_t)(uintptr_t)cpu_state)
#else
#define CPU_STATE 0
#endif

/* QEMU's plugin interface, as far as it is used. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char *target_name;
  struct {
    int min;
    int cur;
  } version;
  bool system_emulation;
  int smp_vcpus, max_vcpus;
} qemu_info_t;

#define EXPORT __attribute__((visibility("default")))
extern void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned));
extern void qemu_plugin_register_vcpu_exit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned));
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                                  void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *),
                                                 int flags, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t,
                                                     void (*)(qemu_plugin_id_t, unsigned, int64_t,
                                                              int64_t));
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);

#ifndef API_VERSION
#define API_VERSION 1
#endif
EXPORT int qemu_plugin_version = API_VERSION;

/* Frames: a header, then `length` bytes. Numbers are little endian. */
enum {
  FRAME_BLOCKS = 1,
  FRAME_TB = 2,
  FRAME_SYSCALL = 3,
  FRAME_MAPS = 4,
  FRAME_THREAD_END = 5,
  FRAME_HELLO = 6,
  FRAME_MAY_EXEC = 7,
  FRAME_TRACE = 8,
};
struct header {
  uint32_t type, vcpu, length, zero;
};

/* What happened, in terms that do not depend on the system call table. */
enum {
  CALL_MMAP = 1,
  CALL_MPROTECT,
  CALL_MUNMAP,
  CALL_MREMAP,
  CALL_SIGACTION,
  CALL_SIGRETURN,
  CALL_EXECVE,
  CALL_FORK,
  CALL_CLONE,
  CALL_EXIT,
};

enum { TAIL_IDS = 16384, GUARDED_IDS = 4096, MAX_VCPUS = 4096 };
/* What `attention` asks for. */
enum { TELL_STATE = 1, STOP = 2 };
/* What the guard may have to read, in blocks; it sends a byte for each GRANTED that it has read. */
enum { WINDOW = 16384, GRANTED = 4096 };
/*
 * Executed translation blocks that have not been sent. Lies in a file, see above. `sent` counts frames; who
 * reads along takes `ids` for what follows the last of them only while `sent` says so before and after, and the trace
 * from where `encoders[sent % 2]` stands.
 */
struct tail {
  uint32_t count, sent, attention, is_stopped;
  /* Of the CPU in this process; 0 = not known. */
  uint64_t state;
  /* Added to a guest's address, it is the process's own. */
  uint64_t guest_base;
  /* The registers where it stopped, in the order of their numbers, and where: the id of the block. */
  uint64_t registers[16];
  uint32_t at, zero;
  uint64_t more[9];
  struct encoder encoders[2];
  uint32_t ids[TAIL_IDS];
};
struct vcpu {
  struct tail *tail;
  struct encoder encoder;
  uint64_t args[6];
};

static struct vcpu vcpus[MAX_VCPUS];
static int out = -1;
static const char *tails;
/* To guard: the socket; what names this process's files; whether the program goes on when nobody listens. */
static const char *socket_path;
static char prefix[64];
static bool is_open;
static uint32_t most_ids = TAIL_IDS;
/* How programs are run that this one turns into. */
static const char *qemu64, *qemu32, *plugin_path, *arguments;
static bool is_started;
static bool sends_ids;
static uint64_t guest_base;
/* What has been sent and the guard has not read. */
static uint32_t unread;
static volatile bool is_child;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Nobody listens any more. */
static void on_silence(void) {
  if (!is_open) _exit(97);
  is_child = true;
}

static void send_all(const void *data, size_t length) {
  const char *at = data;
  while (length > 0 && !is_child) {
    /* The program must not get a signal for what it does not know of. */
    ssize_t n = socket_path == NULL ? write(out, at, length) : send(out, at, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      on_silence();
      return;
    }
    at += n;
    length -= (size_t)n;
  }
}

static void send_frame(uint32_t type, uint32_t vcpu, const void *a, uint32_t a_length, const void *b,
                       uint32_t b_length) {
  struct header header = {type, vcpu, a_length + b_length, 0};
  send_all(&header, sizeof header);
  send_all(a, a_length);
  if (b_length > 0) send_all(b, b_length);
}

/* @returns what the guard says; 0 where nobody does any more */
static char heard(void) {
  char byte = 0;
  ssize_t n = -1;
  while (!is_child && (n = recv(out, &byte, 1, 0)) < 0 && errno == EINTR) continue;
  if (n > 0 && byte == '+') unread = unread > GRANTED ? unread - GRANTED : 0;
  if (n <= 0 && !is_child) on_silence();
  return byte;
}

/* Sends packets that were made of executed blocks, `count` translation blocks and `ran` basic ones. */
static void send_trace(uint32_t vcpu, const uint8_t *bytes, uint32_t count, uint64_t ran) {
  uint32_t body[4] = {count, (uint32_t)ran, interrupts, 0};
  send_frame(FRAME_TRACE, vcpu, body, sizeof body, bytes, (uint32_t)(packets - bytes));
}

static void flush_locked(uint32_t vcpu) {
  static uint8_t bytes[TAIL_IDS * MOST_BLOCK_BYTES];
  struct tail *tail = vcpus[vcpu].tail;
  if (tail == NULL || tail->count == 0) return;
  uint32_t count = tail->count;
  /* The program waits for a guard that is slower. */
  while (socket_path != NULL && !is_child && unread + count > WINDOW) heard();
  unread += count;
  /* After a kill before the last line the frame stands in the tail, too; the reader knows by `sent`. */
  if (sends_ids) send_frame(FRAME_BLOCKS, vcpu, tail->ids, count * 4, NULL, 0);
  else {
    struct encoder *encoder = &vcpus[vcpu].encoder;
    uint64_t before = encoder->blocks;
    packets = bytes;
    interrupts = 0;
    encode(encoder, tail->ids, count);
    send_trace(vcpu, bytes, count, encoder->blocks - before);
    tail->encoders[(tail->sent + 1) % 2] = *encoder;
  }
  __atomic_store_n(&tail->count, 0, __ATOMIC_RELEASE);
  __atomic_store_n(&tail->sent, tail->sent + 1, __ATOMIC_RELEASE);
}

/* The guard asks for something. */
static __attribute__((noinline)) void attend(struct tail *tail, uint32_t id) {
  uint32_t asked = tail->attention;
  tail->attention = 0;
  tail->state = CPU_STATE;
  tail->guest_base = guest_base;
  if (asked != STOP) return;
  /* Between blocks all registers are in memory. */
  if (tail->state != 0) memcpy(tail->registers, (void *)(uintptr_t)tail->state, (is_i386 ? 8 * 4 : 16 * 8));
  tail->at = id;
  __atomic_store_n(&tail->is_stopped, 1, __ATOMIC_RELEASE);
  kill(getpid(), SIGSTOP);
}

static __attribute__((noinline)) void on_seldom(unsigned vcpu, struct tail *tail, uint32_t id) {
  if (tail->attention != 0) attend(tail, id);
  if (tail->count < most_ids) return;
  if (is_child) {
    tail->count = 0;
    return;
  }
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  pthread_mutex_unlock(&lock);
}

static void on_exec(unsigned vcpu, void *data) {
  struct tail *tail = vcpus[vcpu].tail;
  uint32_t count = tail->count;
  tail->ids[count] = (uint32_t)(uintptr_t)data;
  __atomic_store_n(&tail->count, ++count, __ATOMIC_RELEASE);
  if (__builtin_expect(tail->attention != 0 || count >= most_ids, 0))
    on_seldom(vcpu, tail, (uint32_t)(uintptr_t)data);
}

/* The images that QEMU itself loaded, as the host sees them. */
static void send_maps(uint64_t base) {
  static char text[1 << 20];
  size_t length = 0;
  int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t n;
    while (length < sizeof text && (n = read(file, text + length, sizeof text - length)) > 0)
      length += (size_t)n;
    close(file);
  }
  send_frame(FRAME_MAPS, 0, &base, sizeof base, text, (uint32_t)length);
}

/* What stands in a block's instructions of where it leads. */
static void read_end(struct block *block, struct qemu_plugin_tb *tb, const uint8_t *bytes) {
  int64_t relative = 0;
  size_t instructions = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < instructions && block->kind == END_NONE; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    uint64_t offset = qemu_plugin_insn_vaddr(insn) - block->start;
    block->kind = (uint8_t)end_of(bytes + offset, qemu_plugin_insn_size(insn), offset, &relative);
  }
  block->target = block->start + (uint64_t)relative;
  if (is_i386) block->target = (uint32_t)block->target;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  if (is_child) return;
  size_t instructions = qemu_plugin_tb_n_insns(tb);
  if (instructions == 0) return;
  struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, instructions - 1);
  uint64_t start = qemu_plugin_tb_vaddr(tb);
  uint64_t last_start = qemu_plugin_insn_vaddr(last);
  uint32_t size = (uint32_t)(last_start + qemu_plugin_insn_size(last) - start);
  const uint8_t *bytes = qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
  pthread_mutex_lock(&lock);
  if (!is_started) {
    is_started = true;
    guest_base = (uint64_t)(uintptr_t)bytes - start;
    send_maps(guest_base);
  }
  struct block *block = new_block();
  if (block == NULL) _exit(98);
  *block = (struct block){.start = start, .end = start + size, .last = last_start, .next = NO_BLOCK, .taken = NO_BLOCK};
  read_end(block, tb, bytes);
  block->is_handler = is_handler(start);
  struct {
    uint64_t start, target;
    uint32_t id, size, last, kind;
  } body = {start, block->target, block_count++, size, (uint32_t)(last_start - start), block->kind};
  send_frame(FRAME_TB, 0, &body, sizeof body, bytes, size);
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_exec, 0, (void *)(uintptr_t)body.id);
}

static int call_of(int64_t number) {
  if (is_i386) switch (number) {
      case 90: case 192: return CALL_MMAP;
      case 125: return CALL_MPROTECT;
      case 91: return CALL_MUNMAP;
      case 163: return CALL_MREMAP;
      case 67: case 174: return CALL_SIGACTION;
      case 119: case 173: return CALL_SIGRETURN;
      case 11: case 358: return CALL_EXECVE;
      case 2: case 190: return CALL_FORK;
      case 120: case 435: return CALL_CLONE;
      case 252: return CALL_EXIT;
      default: return 0;
    }
  switch (number) {
    case 9: return CALL_MMAP;
    case 10: return CALL_MPROTECT;
    case 11: return CALL_MUNMAP;
    case 25: return CALL_MREMAP;
    case 13: return CALL_SIGACTION;
    case 15: return CALL_SIGRETURN;
    case 59: case 322: return CALL_EXECVE;
    case 57: case 58: return CALL_FORK;
    case 56: case 435: return CALL_CLONE;
    case 231: return CALL_EXIT;
    default: return 0;
  }
}

static void send_call(unsigned vcpu, int call, int64_t result, const uint64_t *args, const char *path) {
  struct {
    uint32_t call, zero;
    int64_t result;
    uint64_t args[6];
  } body = {(uint32_t)call, 0, result, {0}};
  memcpy(body.args, args, sizeof body.args);
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  /* 0 and 1 are SIG_DFL and SIG_IGN. */
  if (call == CALL_SIGACTION && args[2] > 1) add_handler(args[2]);
  send_frame(FRAME_SYSCALL, vcpu, &body, sizeof body, path, (uint32_t)strlen(path));
  pthread_mutex_unlock(&lock);
}

/* How many pointers stand at a guest's address before the one that is 0; of at most 32,768. */
static size_t count_pointers(uint64_t list) {
  size_t n = 0;
  if (list == 0) return 0;
  for (; n < 32768; n++) {
    const char *at = (const char *)(uintptr_t)(guest_base + list);
    if ((is_i386 ? ((const uint32_t *)at)[n] : ((const uint64_t *)at)[n]) == 0) break;
  }
  return n;
}

static char *pointer_at(uint64_t list, size_t index) {
  const char *at = (const char *)(uintptr_t)(guest_base + list);
  uint64_t value = is_i386 ? ((const uint32_t *)at)[index] : ((const uint64_t *)at)[index];
  return (char *)(uintptr_t)(guest_base + value);
}

/*
 * Turns into another program under QEMU, with this plugin, where the guard wants to see it: it knows by the
 * path. Comes back where it does not, or the program cannot be run; QEMU then does what the kernel does.
 */
static void exec_guarded(unsigned vcpu, const char *path, uint64_t argv, uint64_t envp) {
  char answer = 0;
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  send_frame(FRAME_MAY_EXEC, vcpu, path, (uint32_t)strnlen(path, 4096), NULL, 0);
  do answer = heard();
  while (answer == '+');
  pthread_mutex_unlock(&lock);
  const char *qemu = answer == '6' ? qemu64 : answer == '3' ? qemu32 : NULL;
  if (qemu == NULL || access(path, X_OK) != 0) return;
  size_t args = count_pointers(argv), variables = count_pointers(envp), n = 0;
  char **to = calloc(args + 12, sizeof *to), **env = calloc(variables + 1, sizeof *env);
  char option[8192];
  if (to == NULL || env == NULL) return;
  snprintf(option, sizeof option, "file=%s,%s", plugin_path, arguments);
  to[n++] = (char *)qemu;
  to[n++] = "-cpu", to[n++] = "max", to[n++] = "-plugin", to[n++] = option;
  if (args > 0) to[n++] = "-0", to[n++] = pointer_at(argv, 0);
  to[n++] = (char *)path;
  for (size_t i = 1; i < args; i++) to[n++] = pointer_at(argv, i);
  for (size_t i = 0; i < variables; i++) env[i] = pointer_at(envp, i);
  /* What follows this frame comes from the other program; if it does not, the call's result says so. */
  const uint64_t none[6] = {0};
  send_call(vcpu, CALL_EXECVE, 0, none, path);
  execve(qemu, to, env);
  free(to);
  free(env);
}

static void on_syscall(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t a, uint64_t b,
                       uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)g, (void)h;
  uint64_t *args = vcpus[vcpu].args;
  args[0] = a, args[1] = b, args[2] = c, args[3] = d, args[4] = e, args[5] = f;
  if (is_child) return;
  int call = call_of(number);
  /* These do not come back; what they leave behind must be sent now. */
  if (call == CALL_EXIT) send_call(vcpu, call, 0, args, "");
  if (call == CALL_EXECVE) {
    bool is_at = number == 322 || number == 358;
    const char *path = (const char *)(uintptr_t)(guest_base + (is_at ? b : a));
    if (socket_path != NULL && !is_at) exec_guarded(vcpu, path, b, c);
    send_call(vcpu, call, 0, args, path);
  }
  if (call == CALL_SIGRETURN) send_call(vcpu, call, 0, args, "");
}

static void on_syscall_return(qemu_plugin_id_t id, unsigned vcpu, int64_t number, int64_t result) {
  (void)id;
  if (is_child) return;
  int call = call_of(number);
  if (call == 0 || call == CALL_EXIT || call == CALL_SIGRETURN) return;
  if (is_i386) result = (int32_t)result;
  if (call == CALL_EXECVE) { /* Came back, so it failed. */
    send_call(vcpu, call, result, vcpus[vcpu].args, "");
    return;
  }
  if (result < 0 && result > -4096) return;
  uint64_t args[6];
  memcpy(args, vcpus[vcpu].args, sizeof args);
  char path[4096] = "";
  if (call == CALL_MMAP) {
    if (is_i386) result = (uint32_t)result;
    if (is_i386 && number == 90) { /* The old call passes a structure. */
      const uint32_t *six = (const uint32_t *)(uintptr_t)(guest_base + args[0]);
      for (int i = 0; i < 6; i++) args[i] = six[i];
    } else if (is_i386) {
      args[5] = (uint64_t)(uint32_t)args[5] * 4096;
    }
    if ((args[3] & 0x20 /* MAP_ANONYMOUS */) == 0) {
      char link[64];
      snprintf(link, sizeof link, "/proc/self/fd/%d", (int)args[4]);
      ssize_t n = readlink(link, path, sizeof path - 1);
      path[n > 0 ? n : 0] = 0;
    }
  }
  if (call == CALL_SIGACTION) {
    if (args[1] == 0) return;
    const void *action = (const void *)(uintptr_t)(guest_base + args[1]);
    args[2] = is_i386 ? *(const uint32_t *)action : *(const uint64_t *)action;
  }
  if (call == CALL_CLONE && result == 0) return;
  send_call(vcpu, call, result, args, path);
}

static void make_tail(unsigned vcpu) {
  char name[4096];
  snprintf(name, sizeof name, "%s/%s%u.tail", tails, prefix, vcpu);
  int file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, sizeof(struct tail)) != 0) _exit(98);
  void *memory = mmap(NULL, sizeof(struct tail), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) _exit(98);
  /* A CPU's number is used again after its thread has ended. */
  if (vcpus[vcpu].tail != NULL) munmap(vcpus[vcpu].tail, sizeof(struct tail));
  vcpus[vcpu].tail = memory;
  begin_trace(&vcpus[vcpu].encoder);
  vcpus[vcpu].tail->encoders[0] = vcpus[vcpu].encoder;
  if (socket_path != NULL) vcpus[vcpu].tail->attention = TELL_STATE;
}

static void on_vcpu_init(qemu_plugin_id_t id, unsigned vcpu) {
  (void)id;
  if (vcpu >= MAX_VCPUS) _exit(98);
  make_tail(vcpu);
}

static void on_vcpu_exit(qemu_plugin_id_t id, unsigned vcpu) {
  (void)id;
  if (is_child) return;
  pthread_mutex_lock(&lock);
  flush_locked(vcpu);
  if (!sends_ids && vcpu != 0) {
    uint8_t bytes[MOST_BLOCK_BYTES];
    packets = bytes;
    interrupts = 0;
    end_trace(&vcpus[vcpu].encoder);
    if (packets > bytes) send_trace(vcpu, bytes, 0, 0);
  }
  send_frame(FRAME_THREAD_END, vcpu, "", 0, NULL, 0);
  pthread_mutex_unlock(&lock);
}

static void on_exit_all(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  if (is_child) return;
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; i < MAX_VCPUS; i++) flush_locked(i);
  pthread_mutex_unlock(&lock);
}

/* Notices at once when the guard is gone, also while the program waits. */
static void *listen_for_silence(void *data) {
  (void)data;
  struct pollfd wait = {out, POLLRDHUP, 0};
  while (poll(&wait, 1, -1) < 0 && errno == EINTR) continue;
  on_silence();
  return NULL;
}

/* Puts a descriptor out of the program's way: it gets the numbers it would have had without us. */
static int moved_up(int file) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t high = limit.rlim_cur > 65536 ? 65536 : limit.rlim_cur;
  int moved = fcntl(file, F_DUPFD_CLOEXEC, (int)high - 8);
  close(file);
  return moved;
}

/* Connects this process to the guard, and says who it is. @param parent  prefix of who forked it, or "" */
static bool connect_to_guard(const char *parent) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct timespec now;
  int size = 32768; /* The kernel doubles it. */
  int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (file < 0 || strlen(socket_path) >= sizeof address.sun_path) return false;
  strcpy(address.sun_path, socket_path);
  setsockopt(file, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (connect(file, (struct sockaddr *)&address, sizeof address) != 0) return false;
  out = moved_up(file);
  unread = 0;
  if (out < 0) return false;
  clock_gettime(CLOCK_MONOTONIC, &now);
  snprintf(prefix, sizeof prefix, "%d-%llx-", getpid(), (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec);
  char hello[192];
  /* Process, its parent, blocks it knows already, whether it is 32-bit; its files; whose child it is. */
  int length = snprintf(hello, sizeof hello, "%d %d %u %d %s %s", getpid(), getppid(), block_count, is_i386, prefix, parent);
  send_frame(FRAME_HELLO, 0, hello, (uint32_t)length, NULL, 0);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, NULL, listen_for_silence, NULL) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return true;
}

/*
 * A forked child is another process, in memory of its own. To record, it goes on unseen; the guard sees it
 * by a connection of its own.
 */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&lock); }
static void after_fork_child(void) {
  pthread_mutex_unlock(&lock);
  if (socket_path != NULL && !is_child) {
    char parent[sizeof prefix];
    strcpy(parent, prefix);
    close(out);
    if (connect_to_guard(parent)) {
      for (uint32_t i = 0; i < MAX_VCPUS; i++)
        if (vcpus[i].tail != NULL) make_tail(i);
      return;
    }
    on_silence();
  }
  is_child = true;
  for (uint32_t i = 0; i < MAX_VCPUS; i++) {
    struct tail *tail = vcpus[i].tail;
    if (tail == NULL) continue;
    mmap(tail, sizeof *tail, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
  close(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  if (info->system_emulation) return 1;
  is_i386 = strcmp(info->target_name, "i386") == 0;
  int given = -1;
  char all[8192] = "";
  for (int i = 0; i < argc; i++) {
    const char *at = strchr(argv[i], '=');
    const char *value = at == NULL ? "" : strdup(at + 1);
    if (strncmp(argv[i], "fd=", 3) == 0) given = atoi(value);
    if (strncmp(argv[i], "tails=", 6) == 0) tails = value;
    if (strncmp(argv[i], "sock=", 5) == 0) socket_path = value;
    if (strncmp(argv[i], "qemu64=", 7) == 0) qemu64 = value;
    if (strncmp(argv[i], "qemu32=", 7) == 0) qemu32 = value;
    if (strncmp(argv[i], "plugin=", 7) == 0) plugin_path = value;
    if (strncmp(argv[i], "most=", 5) == 0) most_blocks = strtoull(value, NULL, 10);
    if (strcmp(argv[i], "returns=plain") == 0) is_compressed = false;
    if (strcmp(argv[i], "ids=on") == 0) sends_ids = true;
    if (strcmp(argv[i], "open=on") == 0) is_open = true;
    if (strlen(all) + strlen(argv[i]) + 2 > sizeof all) return 1;
    if (i > 0) strcat(all, ",");
    strcat(all, argv[i]);
  }
  arguments = strdup(all);
  if (tails == NULL) return 1;
  if (socket_path != NULL) {
    most_ids = GUARDED_IDS;
    if (plugin_path == NULL || !connect_to_guard("")) return 1;
  } else {
    if (given < 0) return 1;
    out = moved_up(given);
    if (out < 0) return 1;
  }
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
  qemu_plugin_register_vcpu_init_cb(id, on_vcpu_init);
  qemu_plugin_register_vcpu_exit_cb(id, on_vcpu_exit);
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  qemu_plugin_register_vcpu_syscall_ret_cb(id, on_syscall_return);
  qemu_plugin_register_atexit_cb(id, on_exit_all, NULL);
  return 0;
}
