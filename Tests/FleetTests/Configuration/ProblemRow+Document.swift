import Testing

extension ProblemRow {
    static let documents: [ProblemRow] = [
        ProblemRow(
            "listen: [a", "2:1: (document): not YAML: did not find expected ',' or ']' while parsing a flow sequence"),
        ProblemRow("a: b: c", "1:5: (document): not YAML: mapping values are not allowed in this context"),
        ProblemRow(
            "mode: supervise\n\tmode: x",
            "2:1: (document): not YAML: found a tab character that violates indentation while scanning a plain scalar"),
        ProblemRow(
            "mode: supervise\n---\nmode: supervise\n",
            "2:1: (document): a second document: a configuration is one document"),
        ProblemRow("listen: *nowhere", "1:9: (document): not YAML: found undefined alias"),
        ProblemRow("- a", "1:1: (document): expected keys with values, such as listen: 127.0.0.1:8080"),
        ProblemRow("mode: a\u{1}b", "1:8: (document): not YAML: control characters are not allowed"),
        ProblemRow(
            "providers: { a: { base_url: ${URL} } }",
            "1:30: (document): not YAML: did not find expected ',' or '}' while parsing a flow mapping; between brackets "
                + "a variable is written in quotes: \"${VAR}\""),
    ]

    static let keys: [ProblemRow] = [
        ProblemRow("listne: 127.0.0.1:1", "1:1: listne: unknown key; did you mean listen?"),
        ProblemRow("readyWhen: any", "1:1: readyWhen: unknown key; did you mean ready_when?"),
        ProblemRow("master-key: x", "1:1: master-key: unknown key; did you mean master_key?"),
        ProblemRow("hang_after: 60s", "1:1: hang_after: unknown key; did you mean health.hang_after?"),
        ProblemRow(
            "zzz: 1",
            "1:1: zzz: unknown key; known here: listen, admin, master_key, master_key_file, allow_unauthenticated, mode, "
                + "ready_when, starts_at_once, health, limits, timeouts, routing, gateway, tls, cors, access_log, providers"
        ),
        ProblemRow("health: { intervall: 2s }", "1:11: health.intervall: unknown key; did you mean interval?"),
        ProblemRow(
            "providers:\n  chat: { model: m, replica: 2 }",
            "2:21: providers.chat.replica: unknown key; did you mean replicas?"),
        ProblemRow(
            "providers: { chat: { model: m, drain: 5s } }",
            "1:32: providers.chat.drain: unknown key; did you mean timeouts.drain?"),
        ProblemRow(
            "health.interval: 2s", "1:1: health.interval: unknown key; sections are nested: health: { interval: … }"),
        ProblemRow(
            "mode: supervise\nready_when: any\nmode: supervise",
            "3:1: mode: duplicate key: it is already given in line 1, column 1"),
        ProblemRow(
            "mode: supervise\n\"mode\": attach-only\n'mode': supervise",
            "2:1: mode: duplicate key: it is already given in line 1, column 1",
            "3:1: mode: duplicate key: it is already given in line 1, column 1"),
        ProblemRow(
            "health:\n  interval: 2s\n  timeout: 5s\n  interval: 3s\nlimits: { queue: 1, queue: 2, header: 64KiB, header: 1 }",
            "4:3: health.interval: duplicate key: it is already given in line 2, column 3",
            "5:21: limits.queue: duplicate key: it is already given in line 5, column 11",
            "5:46: limits.header: duplicate key: it is already given in line 5, column 31"),
        ProblemRow(
            "providers:\n  a: { base_url: \"http://a\" }\n  b: { base_url: \"http://b\" }\n  a: { base_url: \"http://c\" }",
            "4:3: providers.a: duplicate key: it is already given in line 2, column 3"),
        ProblemRow(
            "providers: { a: { model: m, env: { A: 1, B: 2, A: 3 } } }",
            "1:48: providers.a.env.A: duplicate key: it is already given in line 1, column 36"),
        ProblemRow(
            "health: &h { interval: 2s }\nlimits:\n  <<: *h",
            "3:3: limits.<<: merge keys (<<) are not supported: write the keys out"),
        ProblemRow("? [a, b]\n: c", "1:3: (document): a key is a text"),
        ProblemRow(
            "mode:\nready_when: any", "1:1: mode: has no value: give it one such as attach-only, or leave the key out"),
    ]

    static let types: [ProblemRow] = [
        ProblemRow("listen: { a: b }", "1:9: listen: expected an address such as 127.0.0.1:8080, or a list of them"),
        ProblemRow("health: 2s", "1:9: health: expected keys with values (interval, timeout, unhealthy_after …)"),
        ProblemRow("health: [2s]", "1:9: health: expected keys with values (interval, timeout, unhealthy_after …)"),
        ProblemRow("providers: [a]", "1:12: providers: expected providers by name"),
        ProblemRow(
            "providers: { a: http://x }",
            "1:17: providers.a: expected keys with values (type, models, passthrough_allow …)"),
        ProblemRow("mode: [supervise]", "1:7: mode: expected one of supervise, attach-only"),
        ProblemRow(
            "gateway: { loops: two }", "1:19: gateway.loops: expected a whole number from 1 to 256, found 'two'"),
        ProblemRow(
            "gateway: { loops: 1.5 }", "1:19: gateway.loops: expected a whole number from 1 to 256, found '1.5'"),
        ProblemRow("allow_unauthenticated: yes", "1:24: allow_unauthenticated: expected true or false, found 'yes'"),
        ProblemRow("mode: attach", "1:7: mode: expected one of supervise, attach-only, found 'attach'"),
        ProblemRow(
            "mode: attach_only",
            "1:7: mode: expected one of supervise, attach-only; did you mean attach-only?, found 'attach_only'"),
        ProblemRow("ready_when: some", "1:13: ready_when: expected one of any, all, listening, found 'some'"),
        ProblemRow(
            "health: { canary: always }", "1:19: health.canary: expected one of idle, off, found 'always'"),
        ProblemRow(
            "routing: { policy: random }", "1:20: routing.policy: expected least_inflight, found 'random'"),
        ProblemRow(
            "providers: { a: { model: m, args: --max-model-len 8192 } }",
            "1:35: providers.a.args: expected a list such as [--max-model-len, \"8192\"]"),
        ProblemRow(
            "providers: { a: { model: m, args: [x, [y], ~, {}] } }",
            "1:39: providers.a.args[1]: expected a list such as [--max-model-len, \"8192\"]; this element is not a text",
            "1:44: providers.a.args[2]: expected a list such as [--max-model-len, \"8192\"]; this element is not a text",
            "1:47: providers.a.args[3]: expected a list such as [--max-model-len, \"8192\"]; this element is not a text"
        ),
        ProblemRow(
            "providers: { a: { model: m, env: [A=1] } }",
            "1:34: providers.a.env: expected names and values such as { HF_HOME: /var/lib/stoker/hf }"),
        ProblemRow(
            "providers: { a: { model: m, env: { A: [1], B: } } }",
            "1:39: providers.a.env.A: expected a text as the variable's value",
            "1:44: providers.a.env.B: has no value; for an empty one write \"\""),
        ProblemRow(
            "providers: { a: { model: m, env: { 1A: x, A-B: y } } }",
            "1:36: providers.a.env.1A: a variable's name has letters, digits and underscores, and does not begin with a "
                + "digit",
            "1:43: providers.a.env.A-B: a variable's name has letters, digits and underscores, and does not begin with a "
                + "digit"),
        ProblemRow(
            "providers: { a: { model: m, args: [\"a\\0b\"], env: { A: \"a\\0b\" } } }",
            "1:36: providers.a.args[0]: has a NUL character, which no argument can hold",
            "1:55: providers.a.env.A: has a NUL character, which no variable can hold"),
        ProblemRow(
            "providers: { a: { type: ollama, base_url: \"http://a\" } }",
            "1:25: providers.a.type: expected vllm, the one type there is, found 'ollama'"),
    ]

    static let ranges: [ProblemRow] = [
        ProblemRow(
            "health: { interval: 30 }",
            "1:21: health.interval: expected a duration such as 500ms, 30s, 5m or 2h; a number needs its unit, found '30'"
        ),
        ProblemRow(
            "health: { interval: 1ms }",
            "1:21: health.interval: expected a duration from 100ms to 1h, such as 5s, found '1ms'"),
        ProblemRow(
            "health: { interval: 0 }",
            "1:21: health.interval: expected a duration from 100ms to 1h, such as 5s, found '0'"),
        ProblemRow(
            "health: { interval: -1s }",
            "1:21: health.interval: expected a duration such as 500ms, 30s, 5m or 2h, found '-1s'"),
        ProblemRow(
            "health: { interval: 2 weeks }",
            "1:21: health.interval: expected a duration such as 500ms, 30s, 5m or 2h; a number needs its unit, found "
                + "'2 weeks'"),
        ProblemRow(
            "health: { unhealthy_after: 0 }",
            "1:28: health.unhealthy_after: expected a whole number from 1 to 1000, found '0'"),
        ProblemRow(
            "limits: { body: 32M }",
            "1:17: limits.body: expected a size such as 64KiB, 32MiB, 1GiB or 10MB; units are B, KiB, MiB, GiB, TiB and "
                + "kB, MB, GB, TB, found '32M'"),
        ProblemRow("limits: { header: 1TiB }", "1:19: limits.header: expected a size from 1KiB to 16MiB, found '1TiB'"),
        ProblemRow(
            "limits: { queue: -1 }", "1:18: limits.queue: expected a whole number from 0 to 1000000, found '-1'"),
        ProblemRow(
            "limits: { queue: 99999999999999999999 }",
            "1:18: limits.queue: expected a whole number from 0 to 1000000, found '99999999999999999999'"),
        ProblemRow(
            "tls: { key_file: /k }",
            "1:18: tls.key_file: a key without its certificate: set tls.certificate_file too"),
        ProblemRow(
            "access_log: access.log",
            "1:13: access_log: expected off, stderr, or a file's absolute path, found 'access.log'"),
        ProblemRow(
            "cors: { origins: [\"https://a.example/\"] }",
            "1:19: cors.origins[0]: expected an origin such as https://chat.example.com, or *; no path, not even a slash, "
                + "found 'https://a.example/'"),
        ProblemRow(
            "cors: { origins: [a.example] }",
            "1:19: cors.origins[0]: expected an origin such as https://chat.example.com, or *, found 'a.example'"),
        ProblemRow(
            "limits: { body: 2MiB, body_memory: 1MiB }",
            "1:36: limits.body_memory: limits.body_memory (1MiB) is less than limits.body (2MiB): not one such body could "
                + "be taken"),
        ProblemRow(
            "limits: { body: 2GiB }",
            "1:17: limits.body: limits.body_memory (1GiB) is less than limits.body (2GiB): not one such body could be "
                + "taken"),
        ProblemRow(
            "timeouts: { connect: 0 }",
            "1:22: timeouts.connect: expected a duration from 1ms to 10m, such as 5s, found '0'"),
        ProblemRow(
            "providers: { a: { model: m, replicas: 0 } }",
            "1:39: providers.a.replicas: expected a whole number from 1 to 256, found '0'"),
        ProblemRow(
            "providers: { a: { model: m, restart: { backoff: 5m..1s, budget: 5 per 10m, start_budget: 0 } } }",
            "1:49: providers.a.restart.backoff: the first duration is longer than the second one, found '5m..1s'",
            "1:65: providers.a.restart.budget: expected a number of restarts in a time, such as 5 in 10m, found "
                + "'5 per 10m'",
            "1:90: providers.a.restart.start_budget: expected a whole number from 1 to 1000, found '0'"),
        ProblemRow(
            "providers: { a: { model: m, restart: { backoff: 5m } } }",
            "1:49: providers.a.restart.backoff: expected a range of durations such as 1s..5m, found '5m'"),
        ProblemRow(
            "providers: { a: { model: m, timeouts: { start_stall: 3h } } }",
            "1:54: providers.a.timeouts.start_stall: warning: start_stall is longer than start_max and never comes to "
                + "pass"),
    ]

    static let expansion: [ProblemRow] = [
        ProblemRow(
            "mode: ${NOWHERE}",
            "1:7: mode: the environment variable NOWHERE is not set: set it, or write ${NOWHERE:-default}"),
        ProblemRow("mode: ${A", "1:7: mode: ${ without its }; for a literal $ write $$"),
        ProblemRow("mode: ${}", "1:7: mode: between ${ and } stands a variable's name, then perhaps :-default"),
        ProblemRow("mode: ${1A}", "1:7: mode: between ${ and } stands a variable's name, then perhaps :-default"),
        ProblemRow("mode: ${A?x}", "1:7: mode: after ${A comes } or :-default; nothing else is understood"),
        ProblemRow("mode: ${A:-${B}}", "1:7: mode: a default cannot hold another variable"),
        // What a variable held is not shown: it may be a secret in the wrong place.
        ProblemRow(
            "mode: ${KEY}", "1:7: mode: expected one of supervise, attach-only, found '${KEY}'",
            environment: ["KEY": "sk-secret"]),
        ProblemRow(
            "providers:\n  a:\n    model: m\n    args:\n      - ${NOWHERE}",
            "5:9: providers.a.args[0]: the environment variable NOWHERE is not set: set it, or write ${NOWHERE:-default}"
        ),
    ]
}
