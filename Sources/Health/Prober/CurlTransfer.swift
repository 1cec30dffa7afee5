import CCurl
import CLinux
import Fleet
import Synchronization

/// One probe on its way through libcurl: the easy handle with everything that must outlive it.
///
/// Made by the task that sends the probe; from then on only the probe thread touches it, ``cancelled`` aside.
final class CurlTransfer: @unchecked Sendable {
    let id: UInt64
    let probe: HTTPProbe
    /// Set by the sending task when nobody waits any more.
    let cancelled = Atomic<Bool>(false)
    /// Resumed exactly once, by ``finish(_:)``.
    var continuation: CheckedContinuation<HTTPProbeResult, Never>?

    private(set) var easy: UnsafeMutableRawPointer?
    private var headers: UnsafeMutablePointer<curl_slist>?
    private var connectTo: UnsafeMutablePointer<curl_slist>?
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var body: [UInt8] = []
    private let began = Instant.now()

    init(id: UInt64, probe: HTTPProbe) {
        self.id = id
        self.probe = probe
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit { errorText.deallocate() }

    /// Makes the easy handle; a sentence where that cannot be done.
    func prepare() -> String? {
        if let problem = HTTPProbeText.problem(in: probe) { return problem }
        guard let easy = curl_easy_init() else { return "libcurl has no memory for a request" }
        self.easy = easy
        setBehaviour(easy)
        setTarget(easy)
        setMessage(easy)
        return nil
    }

    private func setBehaviour(_ easy: UnsafeMutableRawPointer) {
        // Zero would mean no limit at all.
        let milliseconds = max(1, min(probe.timeout.nanoseconds / 1_000_000, Int64(Int32.max)))
        stoker_curl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(milliseconds))
        stoker_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(milliseconds))
        stoker_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
        stoker_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        stoker_curl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        stoker_curl_set_long(easy, CURLOPT_PATH_AS_IS, 1)
        stoker_curl_only_http(easy)
        // No proxy: http_proxy and its like in the environment are not meant for engines.
        stoker_curl_set_string(easy, CURLOPT_PROXY, "")
        stoker_curl_set_string(easy, CURLOPT_NOPROXY, "*")
        // A connection of its own for every probe: it shows that new ones are accepted, and none is ever stale.
        stoker_curl_set_long(easy, CURLOPT_FRESH_CONNECT, 1)
        stoker_curl_set_long(easy, CURLOPT_FORBID_REUSE, 1)
        stoker_curl_set_error_buffer(easy, errorText)
        stoker_curl_set_receiver(easy, receiveBody, Unmanaged.passUnretained(self).toOpaque())
    }

    private func setTarget(_ easy: UnsafeMutableRawPointer) {
        let endpoint = probe.endpoint
        let scheme = endpoint.tls == nil ? "http" : "https"
        let authority: String
        switch endpoint.address {
        case .unix(let path):
            stoker_curl_set_string(easy, CURLOPT_UNIX_SOCKET_PATH, path)
            authority = HTTPProbeText.bracketed(endpoint.tls?.serverName ?? "localhost")
        case .tcp(let ip, let port):
            let numeric = "\(HTTPProbeText.bracketed(ip)):\(port)"
            if let tls = endpoint.tls {
                // The name is for SNI and the certificate, the connection goes to the address.
                authority = "\(HTTPProbeText.bracketed(tls.serverName)):\(port)"
                connectTo = curl_slist_append(nil, "::\(numeric)")
                stoker_curl_set_list(easy, CURLOPT_CONNECT_TO, connectTo)
            } else {
                authority = numeric
            }
        }
        if let caFile = endpoint.tls?.caFile {
            stoker_curl_set_string(easy, CURLOPT_CAINFO, caFile)
            // Else the system's folder of roots would be trusted beside it.
            stoker_curl_set_string(easy, CURLOPT_CAPATH, nil)
        }
        stoker_curl_set_string(easy, CURLOPT_URL, "\(scheme)://\(authority)\(endpoint.basePath)\(probe.path)")
    }

    private func setMessage(_ easy: UnsafeMutableRawPointer) {
        var lines = ["Host: \(probe.endpoint.host)", "User-Agent: stoker", "Accept: */*", "Expect:"]
        if let key = probe.apiKey { lines.append("Authorization: Bearer \(key.reveal())") }
        switch probe.method {
        case "GET": stoker_curl_set_long(easy, CURLOPT_HTTPGET, 1)
        default:
            stoker_curl_set_long(easy, CURLOPT_POST, 1)
            if probe.method != "POST" { stoker_curl_set_string(easy, CURLOPT_CUSTOMREQUEST, probe.method) }
            probe.body.withUnsafeBytes { _ = stoker_curl_set_body(easy, $0.baseAddress, $0.count) }
            lines.append("Content-Type: application/json")
        }
        for line in lines { headers = curl_slist_append(headers, line) }
        stoker_curl_set_list(easy, CURLOPT_HTTPHEADER, headers)
    }

    /// Takes a piece of the answer, up to the probe's limit.
    fileprivate func receive(_ bytes: UnsafeRawBufferPointer) {
        let room = probe.maximumBytes - body.count
        if room > 0 { body.append(contentsOf: bytes.prefix(room)) }
    }

    /// Ends the transfer by libcurl's word, frees what it held and wakes who waits.
    func finish(code: CURLcode) {
        guard let easy else { return finish(.failure(.other("the request was never made"))) }
        if code == CURLE_OK {
            finish(.answer(status: stoker_curl_status(easy), body: body))
        } else {
            finish(.failure(failure(of: code, errno: stoker_curl_errno(easy))))
        }
    }

    /// Ends the transfer, frees what it held and wakes who waits. The handle must not be in a multi handle any more.
    func finish(_ outcome: HTTPProbeResult.Outcome) {
        if let easy { curl_easy_cleanup(easy) }
        easy = nil
        curl_slist_free_all(headers)
        headers = nil
        curl_slist_free_all(connectTo)
        connectTo = nil
        let waiting = continuation
        continuation = nil
        waiting?.resume(returning: HTTPProbeResult(outcome: outcome, began: began, elapsed: Instant.now() - began))
    }

    private func failure(of code: CURLcode, errno number: Int32) -> HTTPProbeResult.Failure {
        switch code {
        case CURLE_OPERATION_TIMEDOUT: return .timedOut
        case CURLE_COULDNT_CONNECT:
            switch number {
            case ECONNREFUSED, ENOENT: return .refused
            case ETIMEDOUT: return .timedOut
            case EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN: return .ours(sentence(of: code, errno: number))
            default:
                // A socket that could not be made leaves no errno in every version of libcurl.
                if let shortage = stoker_shortage() { return .ours(String(cString: shortage)) }
                return .other(sentence(of: code, errno: number))
            }
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT: return .ours(sentence(of: code, errno: number))
        case CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE: return .lost
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
            CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_ENGINE_INITFAILED,
            CURLE_SSL_SHUTDOWN_FAILED, CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_PINNEDPUBKEYNOTMATCH,
            CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT, CURLE_USE_SSL_FAILED:
            return .tls(sentence(of: code, errno: 0))
        default: return .other(sentence(of: code, errno: number))
        }
    }

    private func sentence(of code: CURLcode, errno number: Int32) -> String {
        let text = String(cString: errorText)
        var sentence = text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
        if number != 0, let reason = strerror(number) { sentence += ": \(String(cString: reason))" }
        return sentence
    }
}

/// libcurl's write callback. At file scope: a closure made in an actor would trap on the probe thread.
private func receiveBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    guard let bytes, let context else { return 0 }
    let transfer = Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    transfer.receive(UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
}
