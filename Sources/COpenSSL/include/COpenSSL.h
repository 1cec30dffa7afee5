/// OpenSSL's libssl, as far as a non-blocking proxy needs it: contexts, connections over a socket, reading, writing.
/// Nothing here waits. Pointers are SSL_CTX, SSL and SSL_SESSION.
#pragma once
#include <stddef.h>

/// What reading or writing came to, where it is not a number of bytes.
enum {
    /// The other side said that it sends no more.
    STOKER_TLS_ENDED = 0,
    /// Not now.
    STOKER_TLS_AGAIN = -1,
    /// The connection is broken, or the other side is not to be believed.
    STOKER_TLS_BROKEN = -2,
};

/// A context for a listener: TLS 1.2 or newer, ALPN http/1.1. NULL, and one sentence in `why`, when the certificate chain
/// or the key cannot be used.
void *stoker_tls_server_context(const char *certificates, const char *key, char *why, size_t room);
/// A context for connections to servers, which it verifies by the system's roots or by a PEM file of them. NULL, and one
/// sentence in `why`, when the file cannot be used.
void *stoker_tls_client_context(const char *roots, char *why, size_t room);
/// Gives a context back; connections made of it keep it alive.
void stoker_tls_context_free(void *context);

/// A client's connection on an accepted socket; NULL when there is no memory.
void *stoker_tls_accept(void *context, int fd);
/// A connection to the server of this name (SNI, and what its certificate must say; a numeric address is checked as
/// such), resumed by `session` unless NULL; NULL when there is no memory or the name is none.
void *stoker_tls_connect(void *context, int fd, const char *name, void *session);
/// Reads: bytes, or one of the above.
long stoker_tls_read(void *connection, void *target, size_t count);
/// Writes all or as much as the socket takes: bytes, or one of the above when not even one was taken.
long stoker_tls_write(void *connection, const void *bytes, size_t count);
/// Says, as far as the socket takes it, that no more is sent.
void stoker_tls_finish(void *connection);
/// Gives a connection back; the socket stays open.
void stoker_tls_free(void *connection);
/// A session by which another connection can be made cheaply, the caller's to free; NULL without one.
void *stoker_tls_session(void *connection);
/// Gives a session back.
void stoker_tls_session_free(void *session);
/// Whether the certificate of the other side was not believed: one sentence in `why`; else 0.
int stoker_tls_disbelief(void *connection, char *why, size_t room);
