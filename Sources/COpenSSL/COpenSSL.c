#include "COpenSSL.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static void explain(char *why, size_t room, const char *what) {
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(why, room, "%s: %s", what, reason ? reason : "not usable");
    ERR_clear_error();
}

static SSL_CTX *context_of(const SSL_METHOD *method) {
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    // Buffers are given back while a connection idles; what is written again may have moved.
    SSL_CTX_set_mode(
        context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

static int choose_protocol(
    SSL *connection, const unsigned char **out, unsigned char *length, const unsigned char *offered,
    unsigned int count, void *argument) {
    (void)connection;
    (void)argument;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, length, ours, sizeof ours - 1, offered, count) != OPENSSL_NPN_NEGOTIATED) {
        // RFC 7301, section 3.2: a client that speaks none of ours is told.
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void *stoker_tls_server_context(const char *certificates, const char *key, char *why, size_t room) {
    ERR_clear_error();
    SSL_CTX *context = context_of(TLS_server_method());
    if (!context) {
        explain(why, room, "TLS");
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"stoker", 6);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    const char *failed = NULL;
    if (SSL_CTX_use_certificate_chain_file(context, certificates) != 1) {
        failed = "the certificate file";
    } else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        failed = "the key file";
    } else if (SSL_CTX_check_private_key(context) != 1) {
        failed = "the key does not belong to the certificate";
    }
    if (failed) {
        explain(why, room, failed);
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

void *stoker_tls_client_context(const char *roots, char *why, size_t room) {
    ERR_clear_error();
    SSL_CTX *context = context_of(TLS_client_method());
    if (!context) {
        explain(why, room, "TLS");
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    static const unsigned char ours[] = "\x08http/1.1";
    SSL_CTX_set_alpn_protos(context, ours, sizeof ours - 1);
    int loaded = roots ? SSL_CTX_load_verify_locations(context, roots, NULL) : SSL_CTX_set_default_verify_paths(context);
    if (loaded != 1) {
        explain(why, room, roots ? "the CA file" : "the system's roots");
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

void stoker_tls_context_free(void *context) { SSL_CTX_free(context); }

void *stoker_tls_accept(void *context, int fd) {
    SSL *connection = SSL_new(context);
    if (!connection) return NULL;
    if (SSL_set_fd(connection, fd) != 1) {
        SSL_free(connection);
        return NULL;
    }
    SSL_set_accept_state(connection);
    return connection;
}

void *stoker_tls_connect(void *context, int fd, const char *name, void *session) {
    ERR_clear_error();
    SSL *connection = SSL_new(context);
    if (!connection) return NULL;
    unsigned char address[16];
    int is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    int named;
    if (is_address) {
        named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), name);
    } else {
        SSL_set_hostflags(connection, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        named = SSL_set1_host(connection, name) == 1 && SSL_set_tlsext_host_name(connection, name) == 1;
    }
    if (named != 1 || SSL_set_fd(connection, fd) != 1) {
        SSL_free(connection);
        return NULL;
    }
    if (session) SSL_set_session(connection, session);
    SSL_set_connect_state(connection);
    return connection;
}

static long outcome(SSL *connection, int result) {
    switch (SSL_get_error(connection, result)) {
    case SSL_ERROR_ZERO_RETURN: return STOKER_TLS_ENDED;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return STOKER_TLS_AGAIN;
    default: return STOKER_TLS_BROKEN;
    }
}

long stoker_tls_read(void *connection, void *target, size_t count) {
    size_t got = 0;
    ERR_clear_error();
    int result = SSL_read_ex(connection, target, count, &got);
    return result == 1 ? (long)got : outcome(connection, result);
}

long stoker_tls_write(void *connection, const void *bytes, size_t count) {
    size_t total = 0;
    // Record after record until the socket is full: only then does it say when there is room again.
    while (total < count) {
        size_t put = 0;
        ERR_clear_error();
        int result = SSL_write_ex(connection, (const char *)bytes + total, count - total, &put);
        if (result != 1) {
            long why = outcome(connection, result);
            if (total > 0 && why == STOKER_TLS_AGAIN) return (long)total;
            return why == STOKER_TLS_ENDED ? STOKER_TLS_BROKEN : why;
        }
        total += put;
    }
    return (long)total;
}

void stoker_tls_finish(void *connection) {
    ERR_clear_error();
    // Nothing may be said before the handshake is over, or after a failure.
    if (SSL_is_init_finished(connection)) SSL_shutdown(connection);
    ERR_clear_error();
}

void stoker_tls_free(void *connection) {
    // A connection that is dropped as it is would take its session with it.
    SSL_set_shutdown(connection, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(connection);
}

void *stoker_tls_session(void *connection) {
    SSL_SESSION *session = SSL_get1_session(connection);
    if (session && SSL_SESSION_is_resumable(session)) return session;
    SSL_SESSION_free(session);
    return NULL;
}

void stoker_tls_session_free(void *session) { SSL_SESSION_free(session); }

int stoker_tls_disbelief(void *connection, char *why, size_t room) {
    long result = SSL_get_verify_result(connection);
    if (result == X509_V_OK) return 0;
    snprintf(why, room, "%s", X509_verify_cert_error_string(result));
    return 1;
}
