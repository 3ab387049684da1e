/*
 * Turns the translation blocks that a CPU executed into Intel PT packets, bit by bit as `block-encoder.ts` and
 * `pt/encoder.ts` do, which say why; tests compare the two. Here because it takes a tenth of the time, and of what
 * is sent.
 *
 * Who calls holds a lock: the blocks and the output are shared by all CPUs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* How a translation block ends: the numbers of `Transfer`. */
enum { END_NONE, END_JCC, END_JMP, END_IJMP, END_CALL, END_ICALL, END_RET, END_SYSCALL, END_FAR };

struct block {
  /* `last` is the start of the last instruction. */
  uint64_t start, end, last, target;
  /* Blocks that were seen to follow: by running on, by the transfer. */
  uint32_t next, taken;
  uint8_t kind;
  bool is_handler;
};

enum { NO_BLOCK = UINT32_MAX, RING = 64, PSB_DISTANCE = 4096 };

/* Where the trace of a CPU stands between two blocks. The reader has it in `tail.ts`. */
struct encoder {
  uint32_t previous, block;
  /* Outcomes of branches that no packet holds yet. */
  uint32_t bits, bit_count;
  /* Bits 16..31 and 32..47 of the last address. */
  uint32_t last1, last2;
  /* Bytes until a PSB is due. */
  int32_t psb_left;
  /* Addresses to return to, a ring. */
  uint32_t top, depth;
  /* Something was left out at the limit. */
  uint32_t is_cut;
  uint64_t blocks;
  uint64_t ring[RING];
};

/* What a block adds at most: FUP, TIP.PGD, PSB+, TIP.PGE, and outcomes. */
enum { MOST_BLOCK_BYTES = 64 };

static struct block *blocks;
static uint32_t block_count, block_room;
static uint64_t *handlers;
static size_t handler_count;
static bool is_i386;
static bool is_compressed = true;
static uint64_t most_blocks = UINT64_MAX;
/* Where the next packet goes. */
static uint8_t *packets;
static uint32_t interrupts;

/* Packets. */

static inline void put(struct encoder *e, uint32_t byte) {
  *packets++ = (uint8_t)byte;
  e->psb_left--;
}

static inline void put2(struct encoder *e, uint32_t a, uint32_t b) {
  put(e, a);
  put(e, b);
}

static inline void flush_bits(struct encoder *e) {
  if (e->bit_count == 0) return;
  put(e, ((1u << e->bit_count) | e->bits) << 1);
  e->bits = e->bit_count = 0;
}

enum { TIP = 0x0d, TIP_PGE = 0x11, TIP_PGD = 0x01, FUP = 0x1d };

static void put_ip(struct encoder *e, uint32_t opcode, uint64_t ip) {
  uint32_t part1 = (uint32_t)(ip >> 16) & 0xffff, part2 = (uint32_t)(ip >> 32) & 0xffff;
  uint32_t parts = part2 != e->last2 ? 3 : part1 != e->last1 ? 2 : 1;
  put(e, (parts << 5) | opcode);
  put2(e, ip & 0xff, (ip >> 8) & 0xff);
  if (parts > 1) put2(e, part1 & 0xff, part1 >> 8);
  if (parts > 2) put2(e, part2 & 0xff, part2 >> 8);
  e->last1 = part1;
  e->last2 = part2;
}

static void put_psb(struct encoder *e) {
  for (int i = 0; i < 8; i++) put2(e, 0x02, 0x82);
  e->last1 = e->last2 = e->depth = 0;
  e->psb_left = PSB_DISTANCE;
}

static void put_mode(struct encoder *e) { put2(e, 0x99, is_i386 ? 2 : 1); }
static void put_psb_end(struct encoder *e) { put2(e, 0x02, 0x23); }

static void put_enable(struct encoder *e, uint64_t ip) {
  flush_bits(e);
  if (e->psb_left <= 0) {
    put_psb(e);
    put_psb_end(e);
    put_mode(e);
  }
  put_ip(e, TIP_PGE, ip);
}

static void put_disable(struct encoder *e) {
  flush_bits(e);
  put(e, TIP_PGD);
}

static void put_interrupt(struct encoder *e, uint64_t from, uint64_t to) {
  interrupts++;
  flush_bits(e);
  put_ip(e, FUP, from);
  put(e, TIP_PGD);
  put_enable(e, to);
}

static inline void put_branch(struct encoder *e, bool is_taken) {
  e->bits = (e->bits << 1) | is_taken;
  if (++e->bit_count == 6) flush_bits(e);
}

static inline void push_call(struct encoder *e, uint64_t next) {
  e->ring[e->top] = next;
  e->top = (e->top + 1) % RING;
  if (e->depth < RING) e->depth++;
}

static void put_indirect(struct encoder *e, uint64_t to) {
  flush_bits(e);
  put_ip(e, TIP, to);
}

static void put_return(struct encoder *e, uint64_t to) {
  if (is_compressed && e->depth > 0) {
    uint32_t top = (e->top - 1) % RING;
    if (e->ring[top] == to) {
      e->top = top;
      e->depth--;
      put_branch(e, true);
      return;
    }
    e->depth = 0;
  }
  put_indirect(e, to);
}

static inline void synchronize(struct encoder *e, uint64_t ip) {
  if (e->psb_left > 0) return;
  flush_bits(e);
  put_psb(e);
  put_mode(e);
  put_ip(e, FUP, ip);
  put_psb_end(e);
}

/* Blocks. */

static bool is_handler(uint64_t address) {
  for (size_t i = 0; i < handler_count; i++)
    if (handlers[i] == address) return true;
  return false;
}

/* An address is that of a signal's handler, which nothing calls. */
static void add_handler(uint64_t address) {
  if (is_handler(address)) return;
  uint64_t *more = realloc(handlers, (handler_count + 1) * sizeof *handlers);
  if (more == NULL) return;
  handlers = more;
  handlers[handler_count++] = address;
  for (uint32_t id = 0; id < block_count; id++)
    if (blocks[id].start == address) blocks[id].is_handler = true;
}

/* Bytes of ModRM and what belongs to it. @param code  from ModRM on, one byte at least */
static size_t modrm_size(const uint8_t *code, size_t left, bool has_small_addresses) {
  uint8_t mod = code[0] >> 6, rm = code[0] & 7;
  if (mod == 3) return 1;
  if (has_small_addresses) return 1 + (mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
  bool has_sib = rm == 4;
  if (has_sib && left < 2) return 2;
  bool has_no_base = mod == 0 && (has_sib ? code[1] & 7 : rm) == 5;
  return 1 + has_sib + (mod == 1 ? 1 : mod == 2 || has_no_base ? 4 : 0);
}

/*
 * How an instruction ends a block, if it does. One that goes on on another page is cut: QEMU begins a block with it.
 *
 * @param offset  of the instruction in the block
 * @param relative  gets the target of a direct transfer, from the start of the block
 */
static int end_of(const uint8_t *code, size_t size, size_t offset, int64_t *relative) {
  size_t at = 0;
  bool is_16 = false, has_small_addresses = false;
  for (; at < size; at++) {
    uint8_t byte = code[at];
    bool is_segment = (byte & 0xe7) == 0x26 || byte == 0x64 || byte == 0x65;
    bool is_rex = !is_i386 && (byte & 0xf0) == 0x40;
    if (byte == 0x66) is_16 = is_i386;
    else if (byte == 0x67) has_small_addresses = is_i386;
    else if (!is_segment && !is_rex && byte != 0xf0 && byte != 0xf2 && byte != 0xf3) break;
  }
  if (at == size) return END_NONE;
  uint8_t opcode = code[at++], second = at < size ? code[at] : 0;
  size_t operand = is_16 ? 2 : 4, direct = 0, rest = 0;
  int kind = END_NONE;
  switch (opcode) {
    case 0x0f:
      at++;
      if ((second & 0xf0) == 0x80) kind = END_JCC, direct = operand;
      else if (second == 0x05 || second == 0x34) kind = END_SYSCALL;
      else if (second == 0x07 || second == 0x35 || second == 0xaa) kind = END_FAR;
      else if (second == 0x01 && at < size) {
        /* VMLAUNCH, VMRESUME, SKINIT. */
        uint8_t third = code[at];
        if (third == 0xc2 || third == 0xc3 || third == 0xde) kind = END_FAR;
      }
      break;
    case 0xe8: kind = END_CALL, direct = operand; break;
    case 0xe9: kind = END_JMP, direct = operand; break;
    case 0xeb: kind = END_JMP, direct = 1; break;
    case 0xc2: kind = END_RET, rest = 2; break;
    case 0xc3: kind = END_RET; break;
    case 0xca: kind = END_FAR, rest = 2; break;
    case 0xcb: case 0xcf: kind = END_FAR; break;
    case 0x9a: case 0xea: kind = is_i386 ? END_FAR : END_NONE, rest = operand + 2; break;
    case 0xcc: case 0xf1: kind = END_SYSCALL; break;
    case 0xcd: kind = END_SYSCALL, rest = 1; break;
    case 0xce: kind = is_i386 ? END_SYSCALL : END_NONE; break;
    case 0xff:
      if (at == size) break;
      rest = modrm_size(code + at, size - at, has_small_addresses);
      switch ((second >> 3) & 7) {
        case 2: kind = END_ICALL; break;
        case 4: kind = END_IJMP; break;
        case 3: case 5: kind = END_FAR; break;
      }
      break;
    default:
      if ((opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0) kind = END_JCC, direct = 1;
  }
  if (at + direct + rest > size) return END_NONE;
  if (direct == 0) return kind;
  int32_t wide = 0;
  memcpy(&wide, code + size - direct, direct);
  int64_t moved = direct == 1 ? (int8_t)wide : direct == 2 ? (int16_t)wide : wide;
  moved += (int64_t)(offset + size);
  *relative = is_16 ? (int16_t)moved : moved;
  return kind;
}

/* @returns the block that is to be filled in and counted, or NULL where there is no memory */
static struct block *new_block(void) {
  if (block_count == block_room) {
    uint32_t room = block_room == 0 ? 4096 : 2 * block_room;
    struct block *more = realloc(blocks, room * sizeof *blocks);
    if (more == NULL) return NULL;
    blocks = more;
    block_room = room;
  }
  return &blocks[block_count];
}

static void begin_trace(struct encoder *e) {
  memset(e, 0, sizeof *e);
  e->previous = NO_BLOCK;
}

/* Makes a direct transfer. @returns where it goes */
static uint64_t follow(struct encoder *e, const struct block *from) {
  if (from->kind == END_CALL && from->target != from->end) push_call(e, from->end);
  return from->target;
}

/* What tells that flow came to the end of a block with a direct transfer. */
static uint64_t reached(const struct encoder *e, const struct block *from) {
  bool is_loop = from->target >= blocks[e->block].start && from->target < from->end;
  return is_loop ? from->last : from->target;
}

/* A step that was not made before, by addresses. */
static void step(struct encoder *e, struct block *from, uint32_t id) {
  uint64_t to = blocks[id].start;
  switch (from->kind) {
    case END_NONE: put_interrupt(e, from->start, to); return;
    case END_JCC:
      if (to == from->target) from->taken = id, put_branch(e, true);
      else if (to == from->end) from->next = id, put_branch(e, false);
      else put_interrupt(e, from->last, to);
      return;
    case END_CALL: case END_JMP:
      if (follow(e, from) == to) from->taken = id;
      else put_interrupt(e, reached(e, from), to);
      return;
    case END_RET: case END_ICALL: case END_IJMP:
      if (blocks[id].is_handler) put_interrupt(e, from->last, to);
      else if (from->kind == END_RET) put_return(e, to);
      else {
        if (from->kind == END_ICALL) push_call(e, from->end);
        put_indirect(e, to);
      }
      return;
    default:
      put_disable(e);
      put_enable(e, to);
  }
}

/* Adds the packets of executed blocks to the output, which has MOST_BLOCK_BYTES for each. */
static void encode(struct encoder *e, const uint32_t *ids, uint32_t count) {
  for (uint32_t i = 0; i < count && !e->is_cut; i++) {
    uint32_t id = ids[i], previous = e->previous;
    struct block *from = previous == NO_BLOCK ? NULL : &blocks[previous];
    if (from != NULL && from->kind == END_NONE) {
      uint64_t to = blocks[id].start;
      if (from->next == id || to == from->end || to == from->last) {
        from->next = id;
        e->previous = id;
        continue;
      }
    }
    if (e->blocks == most_blocks) {
      e->is_cut = true;
      return;
    }
    if (from == NULL) put_enable(e, blocks[id].start);
    else if (from->kind == END_JCC && from->taken == id) put_branch(e, true);
    else if (from->kind == END_JCC && from->next == id) put_branch(e, false);
    else if (from->kind == END_JMP && from->taken == id) ;
    else if (from->kind == END_CALL && from->taken == id) follow(e, from);
    else step(e, from, id);
    synchronize(e, blocks[id].start);
    e->block = e->previous = id;
    e->blocks++;
  }
}

/* The thread has ended, not by a signal. */
static void end_trace(struct encoder *e) {
  const struct block *last = e->previous == NO_BLOCK ? NULL : &blocks[e->previous];
  if (last != NULL && (last->kind == END_JMP || last->kind == END_CALL)) {
    follow(e, last);
    flush_bits(e);
    put_ip(e, TIP_PGD, reached(e, last));
  } else if (last != NULL) put_disable(e);
  flush_bits(e);
}
