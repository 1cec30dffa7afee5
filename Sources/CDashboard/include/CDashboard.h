/// The dashboard's files, put into the program by the compiler's #embed: an editor sees HTML, CSS and JavaScript, the
/// program needs no file at run time.
#pragma once
#include <stddef.h>

/// One file of the folder `page`.
typedef struct {
    /// Its name in the folder.
    const char *name;
    /// Its bytes; they live as long as the program.
    const unsigned char *bytes;
    /// How many they are.
    size_t count;
} stoker_dashboard_file;

/// The file of a number, from 0; NULL behind the last one.
const stoker_dashboard_file *stoker_dashboard_file_at(size_t index);
