/*
 * Reads "tpic" picture documents and prints what is in them.
 *
 * DELIBERATELY VULNERABLE: a toy, written to be attacked. Two handlers trust a length from the
 * file (marked BUG). Never use it on files of others.
 *
 * File: "TPIC", u16 version, u16 chunks; then chunks: 4-letter tag, u32 length, data, u32 CRC-32 of
 * all that. Numbers are little endian.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
enum { MAX_SIDE = 128, MAX_FILE = 1 << 18 };

typedef struct {
  u8 preview[64];
  void (*finish)(void *thumbnail);
  u8 scratch[4096];
} Thumbnail;

/* At fixed addresses, as in many old programs. */
static u8 file[MAX_FILE] __attribute__((aligned(4096)));
static Thumbnail thumbnail __attribute__((aligned(16)));
static u8 pixels[MAX_SIDE * MAX_SIDE];
static u8 work[MAX_SIDE * MAX_SIDE];
static u8 palette[256][3];
static u32 width, height, colours;
static unsigned warnings, chunks_read;

static u32 u32_at(const u8 *p) { return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24; }
static u32 u16_at(const u8 *p) { return p[0] | p[1] << 8; }

static int warn(const char *what) {
  warnings++;
  printf("warning: %s\n", what);
  return -1;
}

static u32 crc_table[256];
static u32 crc32_of(const u8 *data, u32 length) {
  if (crc_table[1] == 0)
    for (u32 n = 0; n < 256; n++) {
      u32 c = n;
      for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      crc_table[n] = c;
    }
  u32 c = 0xffffffffu;
  for (u32 i = 0; i < length; i++) c = crc_table[(c ^ data[i]) & 255] ^ (c >> 8);
  return ~c;
}

static int read_head(const u8 *data, u32 length) {
  if (length < 6) return warn("short header");
  u32 w = u16_at(data), h = u16_at(data + 2);
  if (w == 0 || h == 0 || w > MAX_SIDE || h > MAX_SIDE) return warn("bad size");
  width = w, height = h, colours = data[4];
  printf("picture %u x %u, %u colours\n", w, h, colours);
  return 0;
}

static int read_palette(const u8 *data, u32 length) {
  if (length % 3 != 0 || length > 768) return warn("bad palette");
  for (u32 i = 0; i < length; i++) palette[i / 3][i % 3] = data[i];
  u32 grey = 0;
  for (u32 i = 0; i < length / 3; i++)
    if (palette[i][0] == palette[i][1] && palette[i][1] == palette[i][2]) grey++;
  printf("palette of %u, %u grey\n", length / 3, grey);
  return 0;
}

static int store(const char *how, u32 at) {
  if (at < width * height) warn("picture is not complete");
  u32 sum = 0;
  for (u32 i = 0; i < width * height; i++) sum = sum * 31 + pixels[i];
  printf("%s pixels, sum %08x\n", how, sum);
  return 0;
}

/* Literal runs (0nnnnnnn, n+1 bytes) and copies (1nnnnnnn, u16 distance, n+3 bytes). */
static int read_lz(const u8 *data, u32 length) {
  u32 at = 0, i = 0, room = width * height;
  while (i < length && at < room) {
    u32 code = data[i++];
    if (code < 128) {
      for (u32 n = code + 1; n > 0 && i < length && at < room; n--) pixels[at++] = data[i++];
    } else {
      if (i + 2 > length) return warn("copy is cut off");
      u32 distance = u16_at(data + i);
      i += 2;
      if (distance == 0 || distance > at) return warn("copy from before the picture");
      for (u32 n = code - 128 + 3; n > 0 && at < room; n--, at++) pixels[at] = pixels[at - distance];
    }
  }
  return store("lz", at);
}

static int read_rle(const u8 *data, u32 length) {
  u32 at = 0, room = width * height;
  for (u32 i = 0; i + 1 < length; i += 2)
    for (u32 n = data[i]; n > 0 && at < room; n--) pixels[at++] = data[i + 1];
  return store("rle", at);
}

/* A small program over the pixels. */
static int read_filter(const u8 *data, u32 length) {
  u32 room = width * height;
  for (u32 i = 0; i < length; i++) {
    switch (data[i]) {
      case 0: for (u32 k = 0; k < room; k++) pixels[k] = ~pixels[k]; break;
      case 1: for (u32 k = 1; k < room; k++) pixels[k] += pixels[k - 1]; break;
      case 2: for (u32 k = room; k-- > 1;) pixels[k] -= pixels[k - 1]; break;
      case 3: for (u32 y = 0; y < height; y++)
        for (u32 a = y * width, b = a + width - 1; a < b && b < room; a++, b--) {
          u8 t = pixels[a];
          pixels[a] = pixels[b], pixels[b] = t;
        }
        break;
      case 4: for (u32 k = 0; k < room; k++) pixels[k] = pixels[k] > 127 ? 255 : 0; break;
      case 5: memcpy(work, pixels, room);
        for (u32 k = 1; k + 1 < room; k++) pixels[k] = (work[k - 1] + 2 * work[k] + work[k + 1]) / 4;
        break;
      case 6: for (u32 k = 0; k < room; k++) pixels[k] = (u8)(pixels[k] << 4 | pixels[k] >> 4); break;
      case 7: memset(pixels, 0, width); break;
      default: return warn("unknown filter");
    }
  }
  printf("%u filters\n", length);
  return 0;
}

static int by_count(const void *a, const void *b) {
  const u32 *x = a, *y = b;
  return x[0] != y[0] ? (x[0] < y[0] ? 1 : -1) : (x[1] > y[1]) - (x[1] < y[1]);
}
static int by_value(const void *a, const void *b) { return (int)((const u32 *)a)[1] - (int)((const u32 *)b)[1]; }

static int read_statistics(const u8 *data, u32 length) {
  static u32 counts[256][2];
  if (length < 1) return warn("empty statistics");
  u32 used = 0;
  for (u32 i = 0; i < 256; i++) counts[i][0] = 0, counts[i][1] = i;
  for (u32 i = 0; i < width * height; i++) counts[pixels[i]][0]++;
  qsort(counts, 256, sizeof counts[0], data[0] & 1 ? by_value : by_count);
  for (u32 i = 0; i < 256; i++) used += counts[i][0] != 0;
  printf("%u values used, first %u\n", used, counts[0][1]);
  return 0;
}

/* Vector commands: each a letter and four bytes, through a table of functions. */
static void draw_dot(const u8 *a) { pixels[(a[0] % height) * width + a[1] % width] = a[2]; }
static void draw_row(const u8 *a) { memset(pixels + (a[0] % height) * width, a[2], width); }
static void draw_column(const u8 *a) { for (u32 y = 0; y < height; y++) pixels[y * width + a[1] % width] = a[2]; }
static void draw_box(const u8 *a) {
  for (u32 y = a[0] % height; y < height && y < a[0] % height + 8u; y++)
    for (u32 x = a[1] % width; x < width && x < a[1] % width + 8u; x++) pixels[y * width + x] ^= a[2];
}
static void draw_line(const u8 *a) {
  int x = a[0] % width, y = a[1] % height, tx = a[2] % width, ty = a[3] % height;
  int dx = abs(tx - x), dy = -abs(ty - y), sx = x < tx ? 1 : -1, sy = y < ty ? 1 : -1, error = dx + dy;
  for (;;) {
    pixels[y * width + x] = 200;
    if (x == tx && y == ty) return;
    int twice = 2 * error;
    if (twice >= dy) error += dy, x += sx;
    if (twice <= dx) error += dx, y += sy;
  }
}
static void (*const drawers[])(const u8 *) = {draw_dot, draw_row, draw_column, draw_box, draw_line};

static int read_drawing(const u8 *data, u32 length) {
  if (width == 0) return warn("drawing without a picture");
  u32 done = 0;
  for (; length >= 5; data += 5, length -= 5) {
    if (data[0] >= sizeof drawers / sizeof drawers[0]) return warn("unknown drawing command");
    drawers[data[0]](data + 1);
    done++;
  }
  printf("%u drawing commands\n", done);
  return 0;
}

static int read_text(const u8 *data, u32 length) {
  char line[96];
  u32 words = 0;
  if (length < 2) return warn("short text");
  u32 size = u16_at(data);
  if (size > length - 2) return warn("text is longer than its chunk");
  memcpy(line, data + 2, size); /* BUG: `size` may be more than the line holds. */
  for (u32 i = 0; i < size && i < sizeof line; i++)
    if (line[i] == ' ' || i + 1 == size) words++;
  printf("text, %u words: %.*s\n", words, (int)(size < 20 ? size : 20), line);
  return 0;
}

static int read_records(const u8 *data, u32 length, int depth) {
  u32 count = 0;
  if (depth > 6) return warn("records too deep");
  while (length >= 2) {
    u32 type = data[0], size = data[1];
    data += 2, length -= 2;
    if (size > length) return warn("record is cut off");
    if (type == 0) printf("  %.*s\n", (int)size, (const char *)data);
    else if (type == 1 && size >= 4) printf("  number %d\n", (int)u32_at(data));
    else if (type == 2) read_records(data, size, depth + 1);
    else if (type == 3) printf("  %g\n", strtod("0.5", NULL) * size);
    data += size, length -= size, count++;
  }
  return printf("  %u records\n", count) < 0 ? -1 : 0;
}
static int read_meta(const u8 *data, u32 length) { return read_records(data, length, 0); }

static void finish_small(void *t) { printf("thumbnail %02x\n", ((Thumbnail *)t)->preview[0]); }
static void finish_smooth(void *t) {
  Thumbnail *thumb = t;
  u32 sum = 0;
  for (int i = 1; i < 64; i++) sum += abs(thumb->preview[i] - thumb->preview[i - 1]);
  printf("thumbnail, roughness %u\n", sum);
}
static int read_thumbnail(const u8 *data, u32 length) {
  if (length < 3) return warn("short thumbnail");
  thumbnail.finish = data[0] & 1 ? finish_smooth : finish_small;
  u32 size = u16_at(data + 1);
  if (size > length - 3) return warn("thumbnail is longer than its chunk");
  memcpy(thumbnail.preview, data + 3, size); /* BUG: `size` may be more than 64. */
  thumbnail.finish(&thumbnail);
  return 0;
}

static const struct {
  char tag[5];
  int (*read)(const u8 *, u32);
} handlers[] = {
    {"HEAD", read_head}, {"PALE", read_palette}, {"LZPX", read_lz}, {"RLEP", read_rle},
    {"FILT", read_filter}, {"STAT", read_statistics}, {"DRAW", read_drawing}, {"TEXT", read_text},
    {"META", read_meta}, {"THMB", read_thumbnail},
};

static int read_document(u32 size) {
  if (size < 8 || memcmp(file, "TPIC", 4) != 0) return warn("no tpic document");
  if (u16_at(file + 4) != 1) warn("unknown version");
  u32 count = u16_at(file + 6), at = 8;
  for (u32 n = 0; n < count; n++) {
    if (size - at < 12) return warn("document is cut off");
    u32 length = u32_at(file + at + 4);
    if (length > size - at - 12) return warn("chunk is longer than the document");
    const u8 *data = file + at + 8;
    if (crc32_of(file + at, length + 8) != u32_at(data + length)) warn("wrong checksum");
    u32 i = 0;
    while (i < sizeof handlers / sizeof handlers[0] && memcmp(handlers[i].tag, file + at, 4) != 0) i++;
    if (i == sizeof handlers / sizeof handlers[0]) warn("unknown chunk");
    else handlers[i].read(data, length);
    chunks_read++;
    at += length + 12;
  }
  return 0;
}

int main(int argc, char **argv) {
  FILE *in = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (in == NULL) {
    fprintf(stderr, "usage: tpic FILE\n");
    return 2;
  }
  u32 size = (u32)fread(file, 1, sizeof file, in);
  fclose(in);
  read_document(size);
  printf("%u chunks, %u warnings\n", chunks_read, warnings);
  return warnings != 0;
}
