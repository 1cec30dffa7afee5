/// What a processor compares sixteen bytes at a time and Swift has no name for: the mask of a comparison's results.
#pragma once
#include <stdint.h>
#include <string.h>

typedef int8_t stoker_signed_t __attribute__((vector_size(16)));

/// Which of sixteen bytes are no plain ASCII within a JSON string (RFC 8259 §7): quotes, backslashes, controls, and all
/// beyond ASCII; the first byte's bit is the lowest.
static inline uint64_t stoker_odd_of_sixteen(const uint8_t *bytes) {
    stoker_signed_t text;
    memcpy(&text, bytes, sizeof text);
    // Those beyond ASCII are negative, and so below every control.
    stoker_signed_t odd = (stoker_signed_t)((text == 0x22) | (text == 0x5c) | (text < 0x20));
#if defined(__SSE2__)
    return (uint16_t)__builtin_ia32_pmovmskb128((__attribute__((vector_size(16))) char)odd);
#else
    uint64_t halves[2];
    memcpy(halves, &odd, sizeof halves);
    const uint64_t ones = 0x0101010101010101u, gather = 0x0102040810204080u;
    return ((halves[0] & ones) * gather >> 56) | ((halves[1] & ones) * gather >> 56) << 8;
#endif
}

/// The same of sixty-four bytes.
static inline uint64_t stoker_odd_of_text(const uint8_t *bytes) {
    return stoker_odd_of_sixteen(bytes) | stoker_odd_of_sixteen(bytes + 16) << 16
        | stoker_odd_of_sixteen(bytes + 32) << 32 | stoker_odd_of_sixteen(bytes + 48) << 48;
}
