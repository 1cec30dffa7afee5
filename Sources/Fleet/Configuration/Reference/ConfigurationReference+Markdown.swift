extension ConfigurationReference {
    /// The reference page, `docs/configuration.md`.
    public static func markdown() -> String {
        var page = introduction
        page += "\n## Keys\n\nEvery key has its example; where a default is given, leaving the key out is the same.\n"
        let chapters: [(String, [KeyDescription])] = [
            ("The daemon", daemonKeys), ("Health", healthKeys), ("The gateway", gatewayKeys),
            ("Every provider, and attached ones", providerKeys), ("Launched providers", launchKeys),
        ]
        for (title, keys) in chapters { page += "\n### \(title)\n\n" + table(of: keys) }
        page += environmentChapter + valuesChapter + problemsChapter
        return page
    }

    private static func table(of keys: [KeyDescription]) -> String {
        var table = "| key | takes | default | at a reload | meaning | example |\n|---|---|---|---|---|---|\n"
        for key in keys {
            // What a GPU's and a path's defaults are is said in words.
            let isCode = !key.defaultText.isEmpty && key.kind != .gpus && key.kind != .path
            let fallback = isCode ? "`\(key.defaultText)`" : key.defaultText
            let reload = key.reload == .live ? "at once" : key.reload.rawValue
            table +=
                "| `\(key.path)` | \(key.typeText) | \(fallback) | \(reload) | \(key.meaning) | `\(key.example)` |\n"
        }
        return table
    }

    private static var introduction: String {
        """
        # Configuration

        <!-- Made from the table of keys in Sources/Fleet/Configuration/Reference. Do not edit: run the tests of
             FleetTests with STOKER_TEST_REGENERATE=1. -->

        A configuration comes from a YAML file, the environment and the command line; of two that give the same key, the
        later of these wins. Everything has a default, so that an empty file is one, too. `stoker check` says what is
        wrong with a configuration without running it.

        The file is `--config FILE`, else `$STOKER_CONFIG`, else `/etc/stoker/stoker.yaml` if it is there, else none.

        ```yaml
        listen: 127.0.0.1:8080
        master_key_file: /etc/stoker/master.key
        providers:
          chat:                     # launched here: chat-0 and chat-1
            model: meta-llama/Llama-3.1-8B-Instruct
            replicas: 2
            gpus: 1
            args: [--max-model-len, "8192"]
            restart: { backoff: 1s..5m, budget: 5 in 10m }
          vllm-test:                # attached: only probed and routed to
            base_url: http://10.0.0.7:8000/v1
            api_key: ${VLLM_TEST_API_KEY}
        ```

        A provider with `model` is launched, one with `base_url` is attached. Its name has 1 to 63 of `a-z`, `0-9` and
        `-`. Instances are `NAME-0`, `NAME-1` and so on of a launched provider, and the provider's own name of an
        attached one; names of providers and instances are unique together.

        """
    }

    private static var environmentChapter: String {
        var text = """

            ## Environment

            | variable | sets |
            |---|---|
            | `VLLM_BASE_URL` | registers provider `vllm`, or replaces the base URL of the file's `vllm` |
            | `VLLM_<SUFFIX>_BASE_URL` | the same for `vllm-<suffix>`: lower case, underscores become hyphens, so that \
            `VLLM_TEST_BOX_BASE_URL` is `vllm-test-box` |
            | `VLLM_API_KEY`, `VLLM_<SUFFIX>_API_KEY` | `api_key` of the same provider |
            | `VLLM_MODELS`, `VLLM_<SUFFIX>_MODELS` | `models` of the same provider, separated by commas |
            | `STOKER_CONFIG` | the configuration file |
            | `GOMODEL_MASTER_KEY` | `master_key`, where neither `STOKER_MASTER_KEY` nor `STOKER_MASTER_KEY_FILE` is set |

            """
        for key in keys {
            if let variable = key.environmentVariable { text += "| `\(variable)` | `\(key.path)` |\n" }
        }
        text += """

            An empty variable counts as unset, except an empty master key, which is an error. Lists are separated by \
            commas.

            Warned about, never silent: a suffix that cannot be part of a name (it has letters, digits and underscores, \
            at most 58, the first and the last no underscore), an `_API_KEY` or `_MODELS` with no provider to belong to \
            (`VLLM_API_KEY` alone creates nothing), an `_API_KEY` of a launched provider, an unknown `STOKER_*`; but not \
            what the file asks for with `${…}`. A base \
            URL for a launched provider is an error, and so are two variables for the same setting of one provider. \
            Every other `VLLM_*` is vLLM's own and none of Stoker's business.

            """
        return text
    }

    private static var valuesChapter: String {
        """

        ## Values

        | kind | written as |
        |---|---|
        | duration | `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`; `0` needs no unit, every other number does |
        | range of durations | `1s..5m` |
        | number in a duration | `5 in 10m` |
        | size | `64KiB`, `32MiB`, `1GiB`; `10MB` is decimal; a bare number is bytes; `32M` is an error |
        | address | `127.0.0.1:8080`, `"[::1]:8080"`, `localhost:8080`, `:8080` (every IPv4 interface), \
        `unix:/run/stoker/gateway.sock` |
        | base URL | `http://host:port`, `https://…`, `unix:/run/vllm.sock`; with or without `/v1` and a final slash; \
        a path in front of `/v1` is kept; no user information, query or fragment |
        | secret | printable ASCII on one line, for an HTTP header has to carry it |

        `${VAR}` and `${VAR:-default}` in a YAML string are replaced by the environment's value; the default stands where
        VAR is unset or empty, and without one an unset VAR is an error. `$$` is a `$`. Anchors and aliases work, merge
        keys (`<<`) do not.

        A secret can be given as it is, as a file (`master_key_file`, `api_key_file`), or as a systemd credential named
        `master_key`, `admin_token` or `NAME_api_key` (`LoadCredential=vllm-test_api_key:/etc/stoker/vllm-test.key`),
        which is used when neither of the others is given. A secret is never shown, in no message either.

        """
    }

    private static var problemsChapter: String {
        """

        ## Problems

        All problems are reported at once, one a line:

        ```
        stoker.yaml:7:5: providers.chat.replica: unknown key; did you mean replicas?
        (environment):0:0: VLLM_TEST_API_KEY: warning: ignored: there is no provider vllm-test that it could belong to; \
        VLLM_TEST_BASE_URL would register it
        ```

        What came from the environment or the command line has the place 0:0; the path of the former is the variable's
        name. Columns count Unicode scalars from 1. Errors keep a configuration from being used, warnings do not.

        """
    }
}
