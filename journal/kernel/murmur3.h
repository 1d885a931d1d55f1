/* MurmurHash3 of 128 bits, the variant for machines of 64 (x64, seed 0; Austin Appleby, public domain): two states that differ by
 * accident differ in it. It is no match for somebody who looks for two that do not: what must not be forged, BLAKE says. */
enum { LOCKSTEP_MURMUR3_BYTES = 16 };

/* `hash`: its 16 bytes, the lower half first, each the lowest byte first. */
void lockstep_murmur3(const void *data, uint64_t bytes, uint8_t *hash);
