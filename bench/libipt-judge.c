/* Reads many short traces (length as a 32-bit number, then bytes) from standard input, and prints a line for
 * each: what libipt's packet decoder finds (mode `packets`: OFFSET:SIZE, `!` where it is lost), or which
 * instructions its instruction flow decoder runs (mode `flow`: addresses, `O` at an overflow, `!CODE` where it
 * is lost). The judge of fuzz-libipt.ts.
 * Arguments: mode, then for `flow` a file of raw code and the address where it lies (hexadecimal). */
#include <intel-pt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Events and instructions of one short trace; what runs longer does not end. */
enum { most_steps = 20000 };

static void packets(const struct pt_config *config) {
  struct pt_packet_decoder *decoder = pt_pkt_alloc_decoder(config);
  while (pt_pkt_sync_forward(decoder) >= 0) {
    for (;;) {
      struct pt_packet packet;
      uint64_t offset;
      pt_pkt_get_offset(decoder, &offset);
      int size = pt_pkt_next(decoder, &packet, sizeof(packet));
      if (size < 0) {
        printf("%llu:%s ", (unsigned long long)offset, size == -pte_eos ? "end" : "!");
        if (size == -pte_eos) {
          pt_pkt_free_decoder(decoder);
          return;
        }
        break;
      }
      printf("%llu:%d ", (unsigned long long)offset, packet.size);
    }
  }
  pt_pkt_free_decoder(decoder);
}

static void flow(const struct pt_config *config, struct pt_image *image) {
  struct pt_insn_decoder *decoder = pt_insn_alloc_decoder(config);
  pt_insn_set_image(decoder, image);
  int steps = 0;
  for (;;) {
    int status = pt_insn_sync_forward(decoder);
    if (status == -pte_eos) break;
    while (status >= 0 && steps < most_steps) {
      while (status >= 0 && (status & pts_event_pending) && steps++ < most_steps) {
        struct pt_event event;
        status = pt_insn_event(decoder, &event, sizeof(event));
        if (status >= 0 && event.type == ptev_overflow) printf("O ");
      }
      if (status < 0) break;
      struct pt_insn instruction;
      instruction.iclass = ptic_error;
      status = pt_insn_next(decoder, &instruction, sizeof(instruction));
      if (instruction.iclass != ptic_error) printf("%llx ", (unsigned long long)instruction.ip);
      steps++;
    }
    if (status == -pte_eos) break;
    if (steps >= most_steps) {
      printf("endless ");
      break;
    }
    printf("!%d ", -status);
  }
  pt_insn_free_decoder(decoder);
}

int main(int argc, char **argv) {
  struct pt_image *image = pt_image_alloc(NULL);
  if (argc > 3 && pt_image_add_file(image, argv[2], 0, UINT64_MAX, NULL, strtoull(argv[3], NULL, 16)) < 0)
    return 3;
  uint32_t length;
  while (fread(&length, sizeof(length), 1, stdin) == 1) {
    uint8_t *trace = malloc(length + 1);
    if (fread(trace, 1, length, stdin) != length) return 2;
    struct pt_config config;
    pt_config_init(&config);
    config.begin = trace;
    config.end = trace + length;
    if (strcmp(argv[1], "packets") == 0) packets(&config);
    else flow(&config, image);
    printf("\n");
    free(trace);
  }
  return 0;
}
