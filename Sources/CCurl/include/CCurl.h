/// libcurl, with typed functions for the variadic calls that Swift cannot make.
#pragma once
#include <curl/curl.h>
