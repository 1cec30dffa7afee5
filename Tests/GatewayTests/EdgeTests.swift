import Fleet
import Foundation
import Glibc
import Testing

@testable import Gateway

/// Keys, routes, errors and the edges of HTTP, over sockets.
@Suite(.serialized) struct EdgeTests {
    @Test func everyRouteWantsTheKey() throws {
        let gateway = RunningGateway(fleet([]))
        defer { gateway.stop() }
        var bodies: Set<String> = []
        for wrong in [
            "", "Authorization: Bearer m\r\n", "Authorization: Bearer mkk\r\n", "Authorization: Basic mk\r\n",
            "Authorization: mk\r\n", "x-api-key: nk\r\n", "x-api-key: \r\n", "x-api-key: \"mk\"\r\n",
            "Authorization: Bearer wrong\r\nx-api-key: mk\r\n", "x-api-key: mk\r\nx-api-key: mk\r\n",
            "Authorization: Bearer \(String(repeating: "m", count: 8192))\r\n", "Authorization: Bearer mk\u{e9}\r\n",
        ] {
            for request in [
                get("/v1/models", wrong, key: nil), get("/nowhere", wrong, key: nil),
                get("/p/a/health", wrong, key: nil),
                post("/v1/chat/completions", "{}", wrong, key: nil),
            ] {
                let reply = try #require(gateway.ask(request))
                #expect(reply.status == 401)
                bodies.insert(reply.text)
            }
        }
        #expect(bodies.count == 1)
        #expect(gateway.ask(post("/v1/messages", "{}", key: nil))?.text.hasPrefix(#"{"type":"error""#) == true)
        for right in ["authorization: bearer mk\r\n", "AUTHORIZATION: BEARER   mk\r\n", "X-Api-Key: mk\r\n"] {
            #expect(gateway.ask(get("/v1/models", right, key: nil))?.status == 200)
        }
        #expect(gateway.ask(get("/health", key: nil))?.status == 200)
        #expect(gateway.ask(get("/ready", key: nil))?.status == 200)
    }

    /// Everything has come in one stretch, and a read ends in the body of the last request of a turn: nothing tells of the
    /// rest again.
    @Test func manyRequestsAtOnceAreAllAnswered() throws {
        let gateway = RunningGateway(fleet([]))
        defer { gateway.stop() }
        let read = BufferPool.sizes.middle
        let length = (read + 40 + 31) / 32
        func head(_ body: Int) -> String {
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\ncontent-type: application/json\r\n"
                + "content-length: \(body)\r\n\r\n"
        }
        let body = length - head(100).utf8.count
        let request = head(body) + #"{"model":"x"}"# + String(repeating: " ", count: body - 13)
        #expect(request.utf8.count == length && 31 * length + head(body).utf8.count < read && read < 32 * length)
        let client = gateway.client()
        client.write(String(repeating: request, count: 40))
        for number in 0..<40 { #expect(client.readMessage()?.status == 404, "request \(number)") }
    }

    @Test func answersWhatItCannotServe() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet(settings: { $0.bodyBytes = 1000 }, [("a", [instance("a-0", upstream.port, ["m", "n/o"])])]))
        defer { gateway.stop() }
        func expect(_ request: String, _ status: Int, _ code: String, line: Int = #line) throws {
            let reply = try #require(gateway.ask(request), "line \(line)")
            #expect(reply.status == status, "line \(line): \(reply.text)")
            #expect(reply.text.contains("\"code\":\"\(code)\""), "line \(line): \(reply.text)")
            #expect(reply.field("x-request-id") != nil)
        }
        try expect(get("/nowhere"), 404, "unknown_route")
        try expect(get("/v1/chat/completions"), 405, "method_not_allowed")
        #expect(gateway.ask(get("/v1/chat/completions"))?.field("allow") == "POST")
        #expect(gateway.ask(post("/v1/models", "{}"))?.field("allow") == "GET, HEAD")
        try expect(get("/v1/realtime", "Upgrade: websocket\r\nConnection: upgrade\r\n"), 501, "not_implemented")
        try expect(get("/v1/models/a/none"), 404, "model_not_found")
        try expect(get("/v1/models/known/one"), 503, "model_loading")
        try expect(post("/v1/completions", "{}"), 400, "invalid_request")
        try expect(post("/v1/completions", "{\"model\":5}"), 400, "invalid_json")
        try expect(post("/v1/completions", "{\"model\":\"m\",\"mod\\u0065l\":\"m\"}"), 400, "invalid_json")
        try expect(post("/v1/completions", "nonsense"), 400, "invalid_json")
        try expect(post("/v1/completions", ""), 400, "invalid_json")
        try expect(post("/v1/completions", "{\"model\":\"x\"}"), 404, "model_not_found")
        try expect(post("/v1/completions", "{\"model\":\"a/known/one\"}"), 503, "model_loading")
        try expect(
            post("/v1/completions", "{\"m\":\"\(String(repeating: "x", count: 1000))\"}"), 413, "request_too_large")
        try expect(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}",
            415, "unsupported_media_type")
        try expect(post("/v1/completions", "{}", "Content-Encoding: gzip\r\n"), 415, "unsupported_media_type")
        try expect(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\ncontent-type: application/json\r\n\r\n", 411,
            "length_required")
        try expect(post("/v1/completions", "{}", "Expect: magic\r\n"), 417, "expectation_failed")
        try expect(get("/v1/models", "X: \(String(repeating: "y", count: 70_000))\r\n"), 431, "headers_too_large")
        // In passthrough a POST may do without: the server judges.
        let bare = "POST /p/a/v1/embeddings HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\n\r\n"
        #expect(gateway.ask(bare)?.text.hasPrefix("POST /v1/embeddings HTTP/1.1\r\n") == true)
        try expect(get("/p/nobody/health"), 404, "provider_not_found")
        try expect(post("/p/a/sleep", "{}"), 403, "route_not_allowed")
        #expect(gateway.ask(post("/p/a/sleep", "{}"))?.text.contains("POST /sleep") == true)
        try expect(get("/p/a/../health"), 400, "invalid_path")
        try expect(get("/p/a/%2e%2e/health"), 400, "invalid_path")
        for name in ["..", ".", "%61", "", "a\\b"] { try expect(get("/p/\(name)/health"), 400, "invalid_path") }
        // Anthropic's clients are told in their own shape, also of what is no request.
        let version = "anthropic-version: 2023-06-01\r\n"
        for request in [
            get("/v1/models", version, key: "no"), get("/v1/models/x", version, key: nil), get("/v1/models/x", version),
            post("/v1/models", "{}", version), get("/v1/messages", "X: \(String(repeating: "y", count: 70_000))\r\n"),
            "POST /v1/messages/count_tokens HTTP/1.1\r\nbad field: x\r\n\r\n",
        ] {
            let reply = try #require(gateway.ask(request))
            #expect(reply.status >= 400 && reply.text.hasPrefix(#"{"type":"error","error":{"#), "\(reply.text)")
        }
    }

    @Test func refusesWhatTwoPartiesCouldReadDifferently() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let start = "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\nContent-Type: application/json\r\n"
        let smuggled = get("/v1/models")
        for attack in [
            start + "Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
            start + "Content-Length: 13\r\nContent-Length: 13\r\n\r\n" + #"{"model":"m"}"# + smuggled,
            start + "Content-Length: 13, 13\r\n\r\n" + smuggled, start + "Content-Length: +13\r\n\r\n" + smuggled,
            start + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled,
            start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
            start + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
            start + "X: a\r\n b\r\n\r\n" + smuggled, start + "X: a\nY: b\r\n\r\n" + smuggled,
            start + "X: a\0b\r\n\r\n" + smuggled, start + "Transfer-Encoding: chunked\r\n\r\n5\n{}\r\n" + smuggled,
            start + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + smuggled,
            "GET http://h:1/v1/models\r\n\r\n", "GET  /v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET /v1/models HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v1/models HTTP/2.0\r\nHost: a\r\n\r\n",
        ] {
            let client = gateway.client()
            client.write(attack)
            let reply = try #require(client.readMessage(), "\(attack.debugDescription)")
            #expect([400, 505].contains(reply.status), "\(attack.debugDescription)")
            #expect(reply.field("connection") == "close")
            #expect(client.readAll() == "", "\(attack.debugDescription)")
        }
        #expect(upstream.connections == 0)
    }

    @Test func continuesPipelinesAndHeads() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]))
        defer { gateway.stop() }
        let client = gateway.client()
        client.write(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\nContent-Type: application/json\r\n"
                + "Expect: 100-continue\r\nContent-Length: 13\r\n\r\n")
        #expect(client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        client.write(#"{"model":"m"}"#)
        #expect(client.readMessage()?.text.contains("expect") == false)
        // Without the key nothing is continued.
        let stranger = gateway.client()
        stranger.write(
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                + "Expect: 100-continue\r\nContent-Length: 13\r\n\r\n")
        #expect(stranger.readMessage()?.status == 401)
        let many = gateway.client()
        let requests = (0..<200).map { index in
            index % 3 == 0 ? post("/v1/completions", "{\"model\":\"m\",\"n\":\(index)}") : get("/v1/models")
        }
        Thread.detachNewThread { many.write(requests.joined()) }
        for index in 0..<200 {
            let reply = try #require(many.readMessage(), "\(index)")
            #expect(reply.status == 200)
            if index % 3 == 0 { #expect(reply.text.hasSuffix("\"n\":\(index)}")) }
        }
        let head = gateway.client()
        head.write(get("/v1/models", method: "HEAD") + get("/health"))
        let first = try #require(head.read(until: "\r\n\r\n"))
        #expect(first.contains("content-length: "))
        #expect(head.readMessage()?.text == #"{"status":"ok"}"#)
    }

    @Test func listsModels() throws {
        var snapshot = fleet([
            ("b", [instance("b-0", 1, ["z", "org/m"]), instance("b-1", 2, ["z"])]), ("a", [instance("a-0", 3, ["q"])]),
            ("c", [instance("c-0", 4, ["hidden"], published: false)]),
        ])
        snapshot.providers[1].instances[0].models[0].json =
            #"{"id":"q","object":"model","created":1700000000,"owned_by":"vllm","root":"/m","parent":null,"max_model_len":512,"permission":[{"id":"x,}"}]}"#
        let gateway = RunningGateway(snapshot)
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(get("/v1/models")))
        #expect(
            reply.text
                == #"{"object":"list","data":[{"id":"a/q","object":"model","created":1700000000,"owned_by":"a","root":"/m","parent":null,"max_model_len":512,"permission":[{"id":"x,}"}]},{"id":"b/org/m","object":"model","created":0,"owned_by":"b"},{"id":"b/z","object":"model","created":0,"owned_by":"b"}]}"#
        )
        let anthropic = try #require(gateway.ask(get("/v1/models", "anthropic-version: 2023-06-01\r\n")))
        #expect(
            anthropic.text.hasPrefix(
                #"{"data":[{"type":"model","id":"a/q","display_name":"q","created_at":"2023-11-14T22:13:20Z"},"#))
        #expect(anthropic.text.hasSuffix(#""has_more":false,"first_id":"a/q","last_id":"b/z"}"#))
        for (id, shown) in [("b/org/m", "b/org/m"), ("b%2Forg%2Fm", "b/org/m"), ("org/m", "org/m"), ("b-0/z", "b-0/z")]
        {
            let card = try #require(gateway.ask(get("/v1/models/\(id)")))
            #expect(card.status == 200)
            #expect(card.text.hasPrefix("{\"id\":\"\(shown)\""))
        }
        #expect(gateway.ask(get("/v1/models/c/hidden"))?.status == 503)
    }

    @Test func passesThrough() throws {
        let first = UpstreamStub.echo()
        let second = UpstreamStub.echo()
        let gateway = RunningGateway(
            fleet([
                ("vllm", [instance("vllm-0", first.port, ["m"])]), ("other", [instance("other-0", second.port, ["n"])]),
            ]))
        defer { gateway.stop() }
        func target(_ request: String) -> (String, String?)? {
            gateway.ask(request).map {
                (
                    $0.firstLine.hasPrefix("HTTP/1.1 200") ? Message(head: $0.text, body: []).firstLine : $0.text,
                    $0.field("x-stoker-instance")
                )
            }
        }
        for (path, seen) in [
            ("/p/vllm/tokenize", "/tokenize"), ("/p/vllm/v1/tokenize", "/tokenize"),
            ("/p/vllm/chat/completions", "/v1/chat/completions"),
            ("/p/vllm/v1/chat/completions?a=b", "/v1/chat/completions?a=b"), ("/p/vllm-0/rerank", "/rerank"),
        ] {
            let reply = target(post(path, #"{"model":"vllm/m"}"#))
            #expect(reply?.0 == "POST \(seen) HTTP/1.1")
            #expect(reply?.1 == "vllm-0")
        }
        #expect(target(get("/p/other/metrics"))?.0 == "GET /metrics HTTP/1.1")
        #expect(target(get("/p/other-0/v1/models"))?.0 == "GET /v1/models HTTP/1.1")
        // The body stays as it is.
        let reply = try #require(gateway.ask(post("/p/vllm/tokenize", #"{"model":"vllm/m"}"#)))
        #expect(reply.text.hasSuffix(#"|{"model":"vllm/m"}"#))
    }

    /// An attached provider's name is its instance's, too: it is reached unless nothing listens there.
    @Test(arguments: [
        (InstanceState.unhealthy, 200), (.misconfigured, 200), (.draining, 200), (.warming, 200), (.loading, 503),
        (.connecting, 503), (.starting, 503),
    ])
    func passesThroughToAnInstanceThatIsNotPublished(_ state: InstanceState, _ status: Int) throws {
        let upstream = UpstreamStub.echo()
        var snapshot = fleet([
            ("far", [instance("far", upstream.port, ["m"], published: false)]),
            ("near", [instance("near-0", upstream.port, ["n"], published: false)]),
        ])
        for index in 0..<2 { snapshot.providers[index].instances[0].state = state }
        let gateway = RunningGateway(snapshot)
        defer { gateway.stop() }
        for name in ["far", "near-0"] {
            let reply = try #require(gateway.ask(get("/p/\(name)/health")))
            #expect(reply.status == status)
            #expect(status == 503 || reply.field("x-stoker-instance") == name)
        }
        // Of a provider of several instances, or a type, only what is published is chosen.
        for name in ["near", "vllm"] { #expect(gateway.ask(get("/p/\(name)/health"))?.status == 503) }
    }

    @Test func aModelThatItsProviderDoesNotServeNowIsAskedOfNobodyElse() throws {
        let upstream = UpstreamStub.echo()
        var snapshot = fleet([
            ("a", [instance("a-0", upstream.port, ["n"])]),
            ("b", [instance("b-0", upstream.port, ["m"], published: false)]),
        ])
        snapshot.providers[0].knownModels = []
        snapshot.providers[1].reason = "b-0 is restarting"
        let gateway = RunningGateway(snapshot)
        defer { gateway.stop() }
        let reply = try #require(gateway.ask(post("/p/vllm/tokenize", #"{"model":"m"}"#)))
        #expect(reply.status == 503 && reply.text.contains("b-0 is restarting"), "\(reply.text)")
        // What nobody knows is the server's to judge.
        #expect(gateway.ask(post("/p/vllm/tokenize", #"{"model":"x"}"#))?.field("x-stoker-instance") == "a-0")
    }

    @Test func aGatewayWithoutAKeyTalksToNoStrangersPages() throws {
        let gateway = RunningGateway(fleet(key: nil, []))
        defer { gateway.stop() }
        func status(_ host: String, _ fields: String = "") -> Int? {
            gateway.ask("GET /v1/models HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")?.status
        }
        for good in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "a.localhost"] {
            #expect(status(good) == 200)
        }
        for bad in ["evil.example", "localhost.evil.example", "evil.example:80"] { #expect(status(bad) == 400) }
        #expect(status("localhost:1", "Origin: http://localhost:1\r\n") == 200)
        #expect(status("localhost:1", "Origin: http://evil.example\r\n") == 403)
        #expect(status("localhost:1", "Origin: null\r\n") == 403)
    }

    @Test func responsesGoBackToTheirMaker() throws {
        let stubs = (0..<3).map { index in
            UpstreamStub { peer, _ in
                while let request = peer.readMessage() {
                    let body =
                        request.firstLine.hasPrefix("POST /v1/responses HTTP")
                        ? #"{"id":"resp_\#(index)abc","object":"response"}"#
                        : request.firstLine.contains("resp_\(index)") ? "found by \(index)" : "nothing"
                    let status = body == "nothing" ? "404 Not Found" : "200 OK"
                    peer.write("HTTP/1.1 \(status)\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
                }
            }
        }
        let gateway = RunningGateway(
            fleet([("a", stubs.enumerated().map { instance("a-\($0.offset)", $0.element.port, ["m"]) })]))
        defer { gateway.stop() }
        let made = try #require(gateway.ask(post("/v1/responses", #"{"model":"m"}"#)))
        let maker = try #require(made.field("x-stoker-instance"))
        let id = "resp_\(maker.suffix(1))abc"
        let before = stubs.map(\.connections)
        #expect(gateway.ask(get("/v1/responses/\(id)"))?.field("x-stoker-instance") == maker)
        #expect(stubs.map(\.connections) == before)
        let cancel = "POST /v1/responses/\(id)/cancel HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\n\r\n"
        #expect(gateway.ask(cancel)?.field("x-stoker-instance") == maker)
        let follow = post("/v1/responses", "{\"model\":\"m\",\"previous_response_id\":\"\(id)\"}")
        for _ in 0..<6 { #expect(gateway.ask(follow)?.field("x-stoker-instance") == maker) }
        // Of an unknown id each is asked in turn.
        #expect(gateway.ask(get("/v1/responses/resp_2xyz"))?.text == "found by 2")
        let none = try #require(gateway.ask(get("/v1/responses/resp_9")))
        #expect(none.status == 404)
        #expect(none.text.contains("VLLM_ENABLE_RESPONSES_API_STORE"))
    }

    @Test func multipartIsRoutedByItsField() throws {
        let upstream = UpstreamStub.echo()
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["org/whisper"])])]))
        defer { gateway.stop() }
        func form(_ model: String) -> String {
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\u{1}\r\n--Xnot\r\n"
                + "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\(model)\r\n--XX--\r\n"
        }
        let body = form("a/org/whisper")
        let reply = try #require(
            gateway.ask(
                "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: h\r\nx-api-key: mk\r\n"
                    + "Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            ))
        #expect(reply.status == 200)
        #expect(reply.text.hasSuffix("|" + form("org/whisper")))
    }

    @Test func whateverComesItLives() throws {
        let upstream = UpstreamStub { peer, number in
            var numbers = SeededNumbers(seed: UInt64(number))
            while peer.readMessage() != nil {
                let whole = Array((streamHead + chunk(roleEvent) + chunk(tokenEvent("a")) + "0\r\n\r\n").utf8)
                var broken = whole
                for _ in 0..<Int.random(in: 0..<3, using: &numbers) {
                    broken[Int.random(in: 0..<broken.count, using: &numbers)] = UInt8.random(
                        in: 0...255, using: &numbers)
                }
                peer.write(Array(broken.prefix(Int.random(in: 0...broken.count, using: &numbers))))
                if Bool.random(using: &numbers) { return peer.reset() }
                return
            }
        }
        let gateway = RunningGateway(fleet([("a", [instance("a-0", upstream.port, ["m"])])]), loops: 2)
        defer { gateway.stop() }
        var numbers = SeededNumbers(seed: 7)
        let good = Array((post("/v1/chat/completions", #"{"messages":[],"model":"m"}"#) + get("/v1/models")).utf8)
        let deadline = Date(timeIntervalSinceNow: 3)
        var count = 0
        while Date() < deadline {
            let client = gateway.client()
            var bytes = good
            for _ in 0..<Int.random(in: 0..<4, using: &numbers) {
                bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            if Int.random(in: 0..<8, using: &numbers) == 0 {
                bytes = (0..<300).map { _ in UInt8.random(in: 0...255, using: &numbers) }
            }
            client.write(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &numbers))))
            switch Int.random(in: 0..<3, using: &numbers) {
            case 0: client.reset()
            case 1: client.finish()
            default: break
            }
            count += 1
        }
        #expect(count > 100)
        #expect(gateway.ask(get("/health"))?.status == 200)
        let idle = gateway.registry.wait {
            if case .report(let report) = $0, report.inflight == 0, report.runs.allSatisfy({ $0.inflight == 0 }),
                report.counters["connections"] == 0
            {
                true
            } else {
                nil
            }
        }
        #expect(idle == true)
    }
}
