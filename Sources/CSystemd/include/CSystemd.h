/// libsystemd: sd_notify, the journal, and the typed functions for its variadic calls.
#pragma once
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
