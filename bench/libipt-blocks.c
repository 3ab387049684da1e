/* Decodes a trace with libipt's block decoder and prints seconds (wall clock, processor), blocks,
 * instructions and errors: the peer of decode.bench.ts.
 * Arguments: trace, then FILE OFFSET LENGTH ADDRESS for each image section (hexadecimal numbers). */
#include <errno.h>
#include <intel-pt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  FILE *file = fopen(argv[1], "rb");
  if (!file) return 2;
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  uint8_t *trace = malloc(size);
  if (fread(trace, 1, size, file) != (size_t)size) return 2;
  fclose(file);

  double start = now(CLOCK_MONOTONIC), startCpu = now(CLOCK_PROCESS_CPUTIME_ID);
  struct pt_image_section_cache *sections = pt_iscache_alloc(NULL);
  struct pt_image *image = pt_image_alloc(NULL);
  for (int i = 2; i + 3 < argc; i += 4) {
    int id = pt_iscache_add_file(sections, argv[i], strtoull(argv[i + 1], NULL, 16),
                                 strtoull(argv[i + 2], NULL, 16), strtoull(argv[i + 3], NULL, 16));
    if (id < 0 || pt_image_add_cached(image, sections, id, NULL) < 0) return 3;
  }
  struct pt_config config;
  pt_config_init(&config);
  config.begin = trace;
  config.end = trace + size;
  struct pt_block_decoder *decoder = pt_blk_alloc_decoder(&config);
  if (pt_blk_set_image(decoder, image) < 0) return 3;

  unsigned long long blocks = 0, instructions = 0, errors = 0;
  for (;;) {
    int status = pt_blk_sync_forward(decoder);
    if (status < 0) break;
    for (;;) {
      while (status & pts_event_pending) {
        struct pt_event event;
        status = pt_blk_event(decoder, &event, sizeof(event));
        if (status < 0) break;
      }
      if (status < 0) break;
      struct pt_block block;
      status = pt_blk_next(decoder, &block, sizeof(block));
      if (block.ninsn > 0) {
        blocks++;
        instructions += block.ninsn;
      }
      if (status < 0) break;
    }
    if (status == -pte_eos) break;
    errors++;
  }
  printf("%.6f %.6f %llu %llu %llu\n", now(CLOCK_MONOTONIC) - start,
         now(CLOCK_PROCESS_CPUTIME_ID) - startCpu, blocks, instructions, errors);
  return 0;
}
