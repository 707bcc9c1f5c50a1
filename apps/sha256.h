/* SHA-256: FIPS 180-4. For telling whether bytes are the same, not for secrets. */
#ifndef APPS_SHA256_H
#define APPS_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_TEXT 65u		/* in hexadecimal, and a NUL */

struct sha256 {
	uint32_t hash[8];
	uint64_t len;		/* bytes so far */
	uint8_t block[64];	/* the last of them, where they do not fill one */
	void (*compress)(uint32_t hash[8], const uint8_t *block);
};

void sha256_begin(struct sha256 *sha);
/* ... that makes no use of the processor's instructions for it. */
void sha256_begin_plain(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t len);
/* It has to begin anew after this. */
void sha256_end(struct sha256 *sha, char text_out[SHA256_TEXT]);

#endif /* APPS_SHA256_H */
