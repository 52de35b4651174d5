/*
 * crc32c.h - CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds torn and rotten frames before any key is asked.
 */
#ifndef BASTION_CRC32C_H
#define BASTION_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Start with 0; the result goes in again to continue. crc32c(0, "123456789", 9) == 0xe3069283. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* The same without the processor's instruction: the fallback, and the test's second opinion. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t len);

#endif
