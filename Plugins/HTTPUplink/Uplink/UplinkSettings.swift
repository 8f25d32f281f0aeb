import LockerKit

/// The keys of an `[[uplink]]` of this module, checked. `module.toml` holds the same ranges and the defaults.
struct UplinkSettings: Sendable, Equatable {
    let endpoint: Endpoint
    /// File with the bearer token; nil sends none.
    let tokenFile: String?
    /// File with the PEM certificates that are trusted instead of the system's.
    let caFile: String?
    let connectTimeout: Duration
    /// For one attempt as a whole: connecting, sending, the answer.
    let timeout: Duration

    init(
        endpoint: Endpoint, tokenFile: String? = nil, caFile: String? = nil,
        connectTimeout: Duration = .seconds(5), timeout: Duration = .seconds(10)
    ) {
        self.endpoint = endpoint
        self.tokenFile = tokenFile
        self.caFile = caFile
        self.connectTimeout = connectTimeout
        self.timeout = timeout
    }

    init(_ options: Options) throws(LockerError) {
        endpoint = try Endpoint(
            options.string("url"),
            allowsPlainHTTP: options.optionalBoolean("allow_plain_http") ?? false)
        tokenFile = try Self.path("token_file", options)
        caFile = try Self.path("ca_file", options)
        connectTimeout =
            try options.has("connect_timeout_ms")
            ? options.milliseconds("connect_timeout_ms", in: 100...20_000) : .seconds(5)
        timeout =
            try options.has("timeout_ms")
            ? options.milliseconds("timeout_ms", in: 100...20_000) : .seconds(10)
    }

    private static func path(_ key: String, _ options: Options) throws(LockerError) -> String? {
        guard let path = try options.optionalString(key) else { return nil }
        guard path.hasPrefix("/") else {
            throw LockerError(.invalidRequest, "\(key) is \"\(path)\"; want an absolute path")
        }
        return path
    }
}
