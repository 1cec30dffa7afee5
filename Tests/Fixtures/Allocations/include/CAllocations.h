#pragma once

/// Counts, from now on, what the calling thread allocates.
void allocations_watch_this_thread(void);
/// How many allocations watched threads have made; -1 where a sanitizer has its own allocator.
long allocations_count(void);
