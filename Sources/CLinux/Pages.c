#define _GNU_SOURCE
#include "CLinux.h"

#include <link.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int let_go(struct dl_phdr_info *object, size_t size, void *context) {
    (void)size;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    // The kernel's own pages are not a file's; the program itself has an empty name.
    if (strncmp(object->dlpi_name, "linux-vdso", 10) == 0 || strncmp(object->dlpi_name, "linux-gate", 10) == 0) return 0;
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[index];
        if (part->p_type != PT_DYNAMIC) continue;
        // Code that was relocated in place exists nowhere else.
        for (const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + part->p_vaddr); entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL)) return 0;
    }
    for (int index = 0; index < object->dlpi_phnum; index++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[index];
        if (part->p_type != PT_LOAD || part->p_flags & PF_W) continue;
        uintptr_t from = (object->dlpi_addr + part->p_vaddr + page - 1) & ~(page - 1);
        uintptr_t to = (object->dlpi_addr + part->p_vaddr + part->p_filesz) & ~(page - 1);
        if (to > from && madvise((void *)from, to - from, MADV_DONTNEED) == 0) *(size_t *)context += to - from;
    }
    return 0;
}

size_t stoker_release_program_pages(void) {
    size_t advised = 0;
    malloc_trim(0);
    dl_iterate_phdr(let_go, &advised);
    return advised;
}
