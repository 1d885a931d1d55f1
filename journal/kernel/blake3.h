/* BLAKE3 (hash mode, 32 bytes), with the inner nodes of its tree that stand for whole blocks of 64 KiB.
 *
 * A block's chaining value says whether those 64 KiB are what they were; all of them together give the digest of the file,
 * the one that any other BLAKE3 program computes. So a seal can name the block that is wrong. */

enum lockstep_b3_bytes { LOCKSTEP_B3_BLOCK = 65536, LOCKSTEP_B3_CHUNK = 1024, LOCKSTEP_B3_DIGEST = 32 };

/* Chaining values, 32 bytes each, of the whole blocks first … first + blocks - 1 of the input that begins at data. */
void lockstep_b3_blocks(const uint8_t *data, uint64_t first, uint64_t blocks, uint8_t *values);

/* The digest of data[0, bytes), given the chaining values of its bytes / 65536 whole blocks; reads only what is behind them
 * (everything if it is no more than one block). */
void lockstep_b3_root(const uint8_t *data, uint64_t bytes, const uint8_t *values, uint8_t *digest);

/* How many chunks are hashed at once on this machine: 16, 8 or 4. For tests, `lanes` limits it from then on; 0: no limit. */
uint32_t lockstep_b3_lanes(uint32_t limit);
