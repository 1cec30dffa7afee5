/// libcurl, with typed functions for the variadic calls that Swift cannot make, and a thread to run it on.
#pragma once
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <time.h>

/// curl_easy_setopt(3) with a long.
CURLcode stoker_curl_set_long(CURL *handle, CURLoption option, long value);
/// curl_easy_setopt(3) with a string, which libcurl copies; NULL resets the option.
CURLcode stoker_curl_set_string(CURL *handle, CURLoption option, const char *value);
/// curl_easy_setopt(3) with a list, which must outlive the transfer.
CURLcode stoker_curl_set_list(CURL *handle, CURLoption option, struct curl_slist *value);
/// CURLOPT_COPYPOSTFIELDS: a POST with a body, which libcurl copies.
CURLcode stoker_curl_set_body(CURL *handle, const void *bytes, size_t length);
/// Allows http and https only: CURLOPT_PROTOCOLS_STR, or CURLOPT_PROTOCOLS before libcurl 7.85.
CURLcode stoker_curl_only_http(CURL *handle);
/// CURLOPT_ERRORBUFFER: at least CURL_ERROR_SIZE bytes that outlive the transfer.
CURLcode stoker_curl_set_error_buffer(CURL *handle, char *buffer);
/// CURLOPT_WRITEFUNCTION and CURLOPT_WRITEDATA.
CURLcode stoker_curl_set_receiver(
    CURL *handle, size_t (*receive)(char *bytes, size_t size, size_t count, void *context), void *context);
/// CURLOPT_HEADERFUNCTION and CURLOPT_HEADERDATA: one line of the head at a time.
CURLcode stoker_curl_set_header_receiver(
    CURL *handle, size_t (*receive)(char *bytes, size_t size, size_t count, void *context), void *context);
/// CURLOPT_XFERINFOFUNCTION and CURLOPT_XFERINFODATA: asked about once a second, and after each piece, whether to go on
/// (0) or to end the transfer.
CURLcode stoker_curl_set_progress(
    CURL *handle, int (*look)(void *context, curl_off_t, curl_off_t, curl_off_t, curl_off_t), void *context);
/// CURLINFO_RESPONSE_CODE, 0 where there is none.
long stoker_curl_status(CURL *handle);
/// CURLINFO_OS_ERRNO: the errno of a connection that failed, else 0.
int stoker_curl_errno(CURL *handle);

/// Why this process cannot make a socket now, as strerror(3) says it; NULL where it can.
const char *stoker_shortage(void);

/// Starts a thread of the given name (cut to 15 characters) that takes no signals: 0, or an errno.
int stoker_thread_start(pthread_t *thread, const char *name, void (*body)(void *context), void *context);
